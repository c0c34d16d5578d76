// Generated malformed tokenizer.json files, as malformed_test.cpp has them for checkpoints: each
// must be refused with an Error that names it, or be a vocabulary in its own right.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "base/error.h"
#include "files/folder_vocabulary.h"
#include "files/spoilt_json.h"
#include "files/tiny_model.h"
#include "files/tokenizer_json.h"

namespace moescope::files {
namespace {

class MalformedTokenizers : public testing::Test {
 protected:
  // `meaningless`: the change may leave no trace in what is read.
  template <typename F>
  void Try(const std::string& what, F&& read, bool meaningless = false) {
    ++n_files_;
    const auto start = std::chrono::steady_clock::now();
    try {
      const Vocabulary vocabulary = read();
      ++n_accepted_;
      EXPECT_NO_THROW(CheckVocabulary(vocabulary, "again")) << what;
      if (!meaningless) {
        EXPECT_NE(View(vocabulary), original_) << what << " was ignored";
      }
    } catch (const Error& error) {
      const bool expected_kind =
          error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kUnsupported;
      EXPECT_TRUE(expected_kind) << what << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find("hostile"), std::string::npos)
          << what << " names no file: " << error.what();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LE(seconds.count(), 1.0) << what;
  }
  void TryJson(const std::string& what, const std::string& json, bool meaningless = false) {
    Try(
        what, [&] { return ParseTokenizerJson(json, "hostile.json"); }, meaningless);
  }
  static std::string View(const Vocabulary& vocabulary) {
    return fmt::format("{} {}", vocabulary.Identity(), vocabulary.adds_bos);
  }
  void SetOriginal(const std::string& json) {
    original_ = View(ParseTokenizerJson(json, "original"));
  }
  void TearDown() override {
    fmt::print("{} files: {} refused, {} another vocabulary\n", n_files_, n_files_ - n_accepted_,
               n_accepted_);
  }
  int n_files() const { return n_files_; }
  std::string original_;

 private:
  int n_files_ = 0;
  int n_accepted_ = 0;
};

// Documented as not read, or null and absent mean what the tiny file says, or only their type
// counts.
bool IsMeaningless(const Member& member) {
  static const std::set<std::string> keys = {
      "version",      "truncation", "padding",  "dropout", "continuing_subword_prefix",
      "trim_offsets", "type_id",    "tokens",   "pair",    "end_of_word_suffix",
      "use_regex",    "unk_token",  "fuse_unk", "split",   "byte_fallback",
      "ignore_merges"};
  return keys.contains(member.key);
}

TEST_F(MalformedTokenizers, MembersWithNastyValues) {
  for (const std::string& original : {TinyTokenizerJson(), TinyByteLevelJson()}) {
    SetOriginal(original);
    int n_bytes = 0;
    ForEachSpoiltMember(
        original,
        [&](const Member& member) {
          // The 256 byte pieces are alike.
          return !member.key.starts_with("<0x") || ++n_bytes % 32 == 1;
        },
        [&](const std::string& what, const Member& member, const std::string& spoilt) {
          // The post-processor of bytes and the scheme's default say the same in other words.
          const bool absent = what.starts_with("without ") || what.ends_with(" = null");
          const bool prefix = member.key == "add_prefix_space" || member.key == "id";
          const bool optional = absent && (member.key == "normalizer" || member.key == "decoder" ||
                                           member.key == "post_processor");
          TryJson(what, spoilt, IsMeaningless(member) || prefix || optional);
        });
  }
  EXPECT_GE(n_files(), 2000);
}

TEST_F(MalformedTokenizers, CutAnywhere) {
  for (const std::string& original : {TinyTokenizerJson(), TinyByteLevelJson()}) {
    SetOriginal(original);
    for (size_t cut = 0; cut < original.size(); cut += cut % 7 + 1) {
      TryJson(fmt::format("cut at {}", cut), original.substr(0, cut));
    }
  }
}

TEST_F(MalformedTokenizers, BytesChangedAnywhere) {
  std::mt19937 random(4);
  for (const std::string& original : {TinyTokenizerJson(), TinyByteLevelJson()}) {
    SetOriginal(original);
    for (int i = 0; i < 1500; ++i) {
      std::string changed = original;
      const char bytes[] = "\"{}[],:0919ab<>\\ \xff";
      changed[random() % changed.size()] = bytes[random() % (sizeof(bytes) - 1)];
      TryJson(fmt::format("changed {}", i), changed, /*meaningless=*/true);
    }
  }
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(MalformedTokenizers, VocabulariesAndMergesThatDoNotFit) {
  const std::string original = TinyByteLevelJson();
  SetOriginal(original);
  auto replaced = [&](const std::string& from, const std::string& to) {
    TryJson(from + " -> " + to, Replaced(original, from, to));
    EXPECT_THROW(ParseTokenizerJson(Replaced(original, from, to), "hostile.json"), Error) << to;
  };
  replaced("\"a\": 0", "\"a\": 1");                            // an id twice
  replaced("\"a\": 0", "\"a\": 4194304");                      // beyond the limit
  replaced("\"a\": 0", "\"a\": 4194303");                      // a hole of millions
  replaced("\"a\": 0", "\"a\": \"0\"");                        // no number
  replaced("\"a b\"", "\"a  b\"");                             // three words
  replaced("\"a b\"", "\"ab\"");                               // one word
  replaced("\"a b\"", "\"a 1\"");                              // makes no piece
  replaced("\"a b\"", "[\"a\", \"b\"]");                       // both ways
  replaced("\"a b\"", "7");                                    // no text
  replaced("\"id\": 7", "\"id\": 3");                          // a piece of another name
  replaced("\"merges\": [", "\"merges\": [[], ");              // an empty pair
  replaced("\"content\": \"<|end|>\"", "\"content\": \"a\"");  // another id than in the model
}

TEST_F(MalformedTokenizers, DeepOrEndlessSequences) {
  const std::string original = TinyByteLevelJson();
  SetOriginal(original);
  std::string nested = "null";
  for (int depth = 0; depth < 70; ++depth) {
    nested = R"({"type": "Sequence", "normalizers": [)" + nested + "]}";
    TryJson(fmt::format("depth {}", depth),
            Replaced(original, "\"normalizer\": null", "\"normalizer\": " + nested));
  }
  std::string steps = R"({"type": "NFC"})";
  for (int i = 0; i < 6; ++i) steps += ", " + steps;
  TryJson("64 steps",
          Replaced(original, "\"normalizer\": null",
                   R"("normalizer": {"type": "Sequence", "normalizers": [)" + steps + "]}"));
}

TEST_F(MalformedTokenizers, ConfigurationsBesideIt) {
  const std::string config =
      R"({"add_bos_token": true, "bos_token": "<s>", "eos_token": {"content": "</s>"}})";
  auto read = [&](const std::string& text) {
    return ReadFolderTokenizerJson(
        *MakeMemoryFolder(
            "hostile", {{"tokenizer.json", TinyTokenizerJson()}, {"tokenizer_config.json", text}}),
        1, 2);
  };
  original_ = View(read(config));
  EXPECT_EQ(read(config).eos_id, 2);
  ForEachSpoiltMember(
      config, [](const Member&) { return true; },
      [&](const std::string& what, const Member& member, const std::string& spoilt) {
        // The template says the same of BOS, and config.json of EOS.
        const bool said = member.key == "bos_token" || member.key == "add_bos_token" ||
                          what.starts_with("without ");
        Try(
            what, [&] { return read(spoilt); }, said);
      });
}

}  // namespace
}  // namespace moescope::files
