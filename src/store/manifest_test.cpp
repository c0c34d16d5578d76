#include "store/manifest.h"

#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "store/synthetic_run.h"

namespace moescope::store {
namespace {

using nlohmann::ordered_json;

FileEntry File(const std::string& path, int64_t rows) {
  return {path, rows, 1'000, "0123456789abcdef"};
}

Manifest Example() {
  Manifest manifest;
  manifest.description = SyntheticDescription(2, 8, 2);
  manifest.description.layers = {1, 26};
  manifest.description.interventions = {"mask 3.2 \"x\" \xE2\x82\xAC"};
  manifest.complete = true;
  manifest.vocabulary = File(kVocabularyPath, 256);
  for (int64_t i = 0; i < 2; ++i) {
    PartEntry part{i * 100, 100, i * 7, 7, {}};
    part.files = {File(DocumentsPath(i), 7), File(TokensPath(i), 100), File(RoutesPath(1, i), 100),
                  File(RoutesPath(26, i), 100)};
    manifest.parts.push_back(part);
  }
  return manifest;
}

// Of a dense run: no routes files.
Manifest DenseExample() {
  Manifest manifest = Example();
  const RunDescription routed = manifest.description;
  manifest.description = SyntheticDescription(2, 0, 0);
  manifest.description.interventions = routed.interventions;
  for (PartEntry& part : manifest.parts) part.files.resize(2);
  return manifest;
}

// JSON with the hash that makes it a manifest as far as that goes: what is left to check is the
// parser.
std::string Sealed(ordered_json root) {
  root.erase("manifest_xxh3");
  std::string head = root.dump(2);
  head.resize(head.size() - 2);
  return head + fmt::format(",\n  \"manifest_xxh3\": \"{:016x}\"\n}}\n",
                            XXH3_64bits(head.data(), head.size()));
}

TEST(Manifest, GivesBackWhatItWasGiven) {
  Manifest manifest = Example();
  std::string text = FormatManifest(manifest);
  Manifest read = ParseManifest(text, "m");
  EXPECT_EQ(FirstDifference(read.description, manifest.description), "");
  EXPECT_TRUE(read.complete);
  EXPECT_EQ(read.parts.size(), 2u);
  EXPECT_EQ(read.n_tokens(), 200);
  EXPECT_EQ(read.n_documents(), 14);
  EXPECT_EQ(FormatManifest(read), text);
  EXPECT_EQ(Sealed(ordered_json::parse(text)), text);
}

TEST(Manifest, DenseRunsHaveNoRoutesFiles) {
  const std::string text = FormatManifest(DenseExample());
  Manifest read = ParseManifest(text, "m");
  EXPECT_TRUE(read.description.is_dense());
  EXPECT_EQ(read.description.n_layers, 2) << "the model's";
  EXPECT_TRUE(read.description.LayerNumbers().empty());
  EXPECT_EQ(read.parts[1].files.size(), 2u);
  EXPECT_EQ(FormatManifest(read), text);
  Manifest with_routes = DenseExample();
  with_routes.parts[0].files.push_back(File(RoutesPath(0, 0), 100));
  EXPECT_THROW(ParseManifest(FormatManifest(with_routes), "m"), Error);
  Manifest without_routes = Example();
  without_routes.parts[0].files.resize(2);
  EXPECT_THROW(ParseManifest(FormatManifest(without_routes), "m"), Error);
}

TEST(Manifest, EveryChangedByteIsNoticed) {
  const std::string text = FormatManifest(Example());
  for (size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    EXPECT_THROW(ParseManifest(damaged, "m"), Error) << at;
  }
  for (size_t size = 0; size < text.size(); size += 7) {
    EXPECT_THROW(ParseManifest(text.substr(0, size), "m"), Error) << size;
  }
}

// Every value of the document replaced by every kind of wrong value, and removed, under a valid
// hash. Those that are read must be the same run after being written again.
void ReplaceEveryValue(const ordered_json& root, int& refused, int& read) {
  const std::vector<ordered_json> wrong = {0,
                                           1,
                                           -1,
                                           0.5,
                                           1e300,
                                           nullptr,
                                           true,
                                           "text",
                                           "",
                                           ordered_json::array(),
                                           {{}},
                                           INT64_MAX,
                                           UINT64_MAX,
                                           ordered_json::parse("[[[[[[[[[[]]]]]]]]]]"),
                                           2147483648u,
                                           4294967296u,
                                           4398046511105u};
  const ordered_json flat = root.flatten();
  for (const auto& [pointer, unused] : flat.items()) {
    ordered_json::json_pointer at(pointer);
    std::vector<ordered_json> variants;
    for (const ordered_json& value : wrong) {
      ordered_json changed = root;
      changed[at] = value;
      variants.push_back(changed);
    }
    ordered_json removed = root;
    ordered_json& parent = removed[at.parent_pointer()];
    if (parent.is_object())
      parent.erase(at.back());
    else
      parent.erase(static_cast<size_t>(std::stoi(at.back())));
    variants.push_back(removed);
    for (const ordered_json& variant : variants) {
      std::string text = Sealed(variant);
      try {
        Manifest manifest = ParseManifest(text, "m.json");
        ++read;
        EXPECT_EQ(FormatManifest(manifest), text) << pointer;
      } catch (const Error& error) {
        ++refused;
        EXPECT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kUnsupported);
        EXPECT_NE(std::string(error.what()).find("m.json"), std::string::npos);
      }
    }
  }
}

TEST(Manifest, WrongValuesAreRefusedByName) {
  for (const Manifest& manifest : {Example(), DenseExample()}) {
    int refused = 0, read = 0;
    ReplaceEveryValue(ordered_json::parse(FormatManifest(manifest)), refused, read);
    EXPECT_GT(refused, 800);
    EXPECT_GT(read, 10);
  }
}

TEST(Manifest, LimitsOfADescriptionAreNamed) {
  auto refused = [](auto change, const std::string& field, int n_experts = 8) {
    RunDescription description = SyntheticDescription(2, n_experts, n_experts / 4);
    change(description);
    try {
      CheckDescription(description);
      ADD_FAILURE() << field;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(": " + field + ": "), std::string::npos);
    }
  };
  refused([](RunDescription& d) { d.n_layers = 0; }, "n_layers");
  refused([](RunDescription& d) { d.n_layers = 1'025; }, "n_layers");
  refused([](RunDescription& d) { d.n_experts = 4'097; }, "n_experts");
  refused([](RunDescription& d) { d.experts_per_token = 9; }, "experts_per_token");
  refused([](RunDescription& d) { d.layers = {3}; }, "layers");
  refused([](RunDescription& d) { d.layers = {3, 3}; }, "layers");
  refused([](RunDescription& d) { d.tokens_per_part = 0; }, "tokens_per_part");
  EXPECT_NO_THROW(CheckDescription(SyntheticDescription(2, 8, 8)));
  refused([](RunDescription& d) { d.n_experts = -1; }, "n_experts");
  refused([](RunDescription& d) { d.experts_per_token = 0; }, "experts_per_token");
  refused([](RunDescription& d) { d.n_experts = 0; }, "experts_per_token");
  refused([](RunDescription& d) { d.experts_per_token = 1; }, "experts_per_token", 0);
  refused([](RunDescription& d) { d.n_layers = 0; }, "n_layers", 0);
  refused([](RunDescription& d) { d.has_logits = true; }, "has_logits", 0);
  refused([](RunDescription& d) { d.layers = {0, 1}; }, "layers", 0);
  EXPECT_NO_THROW(CheckDescription(SyntheticDescription(2, 0, 0)));
}

}  // namespace
}  // namespace moescope::store
