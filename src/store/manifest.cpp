#include "store/manifest.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform/file.h"
#include "base/valid_utf8.h"

namespace moescope::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// 8 million parts of a million tokens would not be this long.
constexpr uint64_t kMaxManifestBytes = uint64_t{1} << 30;
constexpr int kMaxDepth = 8;
constexpr const char* kFormat = "moescope run";

// One field of the description under its JSON name, for writing, reading and comparing alike.
template <typename Description, typename Visitor>
void VisitFields(Description& d, const Visitor& visit) {
  visit("model", d.model_name);
  visit("architecture", d.architecture);
  visit("model_identity", d.model_identity);
  visit("expert_type", d.expert_type);
  visit("router_type", d.router_type);
  visit("n_layers", d.n_layers);
  visit("layers", d.layers);
  visit("n_experts", d.n_experts);
  visit("experts_per_token", d.experts_per_token);
  visit("score_function", d.score_function);
  visit("tokenizer_identity", d.tokenizer_identity);
  visit("vocab_size", d.vocab_size);
  visit("bos", d.bos);
  visit("chunk", d.chunk);
  visit("max_tokens", d.max_tokens);
  visit("raw", d.raw);
  visit("datasets", d.datasets);
  visit("precision", d.precision);
  visit("kernel_level", d.kernel_level);
  visit("engine_version", d.engine_version);
  visit("has_logits", d.has_logits);
  visit("has_losses", d.has_losses);
  visit("interventions", d.interventions);
  visit("tokens_per_part", d.tokens_per_part);
}

template <typename T>
ordered_json ToJson(const T& value) {
  return value;
}
ordered_json ToJson(const std::vector<DatasetDescription>& datasets) {
  ordered_json list = ordered_json::array();
  for (const DatasetDescription& dataset : datasets) {
    list.push_back({{"name", dataset.name},
                    {"unit_by", dataset.unit_by},
                    {"text_template", dataset.text_template}});
  }
  return list;
}

ordered_json ToJson(const FileEntry& file) {
  return {{"path", file.path}, {"rows", file.rows}, {"bytes", file.bytes}, {"xxh3", file.xxh3}};
}

// Typed access to members that names what is wrong.
class Reader {
 public:
  Reader(const json& object, std::string where, const std::string& path)
      : object_(object), where_(std::move(where)), path_(path) {
    if (!object.is_object()) Fail("", "an object", object.type_name());
  }

  // Every member must have been asked for.
  void ExpectSize(size_t n) const {
    if (object_.size() != n) {
      Fail("", fmt::format("{} members", n), fmt::format("{}", object_.size()));
    }
  }

  const json& Member(const char* name) const {
    auto found = object_.find(name);
    if (found == object_.end()) Fail(name, "a value", "none");
    return *found;
  }

  void Read(const char* name, std::string& out) const {
    const json& value = Member(name);
    if (!value.is_string()) Fail(name, "a string", value.type_name());
    out = value.get<std::string>();
  }
  void Read(const char* name, bool& out) const {
    const json& value = Member(name);
    if (!value.is_boolean()) Fail(name, "true or false", value.type_name());
    out = value.get<bool>();
  }
  void Read(const char* name, int64_t& out) const { out = Integer(name, Member(name), INT64_MAX); }
  void Read(const char* name, uint64_t& out) const {
    out = static_cast<uint64_t>(Integer(name, Member(name), INT64_MAX));
  }
  void Read(const char* name, int& out) const {
    out = static_cast<int>(Integer(name, Member(name), INT32_MAX));
  }
  void Read(const char* name, std::vector<int>& out) const {
    for (const json& value : Array(name)) {
      out.push_back(static_cast<int>(Integer(name, value, INT32_MAX)));
    }
  }
  void Read(const char* name, std::vector<std::string>& out) const {
    for (const json& value : Array(name)) {
      if (!value.is_string()) Fail(name, "strings", value.type_name());
      out.push_back(value.get<std::string>());
    }
  }
  void Read(const char* name, std::vector<DatasetDescription>& out) const {
    for (const json& value : Array(name)) {
      Reader reader(value, name, path_);
      reader.ExpectSize(3);
      DatasetDescription& dataset = out.emplace_back();
      reader.Read("name", dataset.name);
      reader.Read("unit_by", dataset.unit_by);
      reader.Read("text_template", dataset.text_template);
    }
  }

  const json& Array(const char* name) const {
    const json& value = Member(name);
    if (!value.is_array()) Fail(name, "a list", value.type_name());
    return value;
  }

  [[noreturn]] void Fail(const char* name, const std::string& expected,
                         const std::string& found) const {
    throw Error(
        ErrorKind::kCorrupt,
        fmt::format("cannot read manifest: {}: {}{}{}: expected {}, found {}", path_, where_,
                    *name == '\0' || where_.empty() ? "" : ".", name, expected, found));
  }

 private:
  int64_t Integer(const char* name, const json& value, int64_t limit) const {
    // Only what FormatManifest writes: counts, no signs, no fractions.
    if (!value.is_number_unsigned()) Fail(name, "a count", value.dump());
    auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(limit)) {
      Fail(name, fmt::format("at most {}", limit), std::to_string(number));
    }
    return static_cast<int64_t>(number);
  }

  const json& object_;
  std::string where_;
  const std::string& path_;
};

std::string HashText(std::string_view text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

// The end of the file is the hash of all before it, written so exactly that a flipped bit in the
// tail shows too.
std::string Tail(std::string_view head) {
  return fmt::format(",\n  \"manifest_xxh3\": \"{}\"\n}}\n", HashText(head));
}

FileEntry ReadFile(const json& value, const std::string& where, const std::string& expected_path,
                   int64_t expected_rows, const std::string& path) {
  Reader reader(value, where, path);
  reader.ExpectSize(4);
  FileEntry file;
  reader.Read("path", file.path);
  reader.Read("rows", file.rows);
  reader.Read("bytes", file.bytes);
  reader.Read("xxh3", file.xxh3);
  if (file.path != expected_path) reader.Fail("path", expected_path, file.path);
  if (file.rows != expected_rows) {
    reader.Fail("rows", std::to_string(expected_rows), std::to_string(file.rows));
  }
  if (file.xxh3.size() != 16 ||
      file.xxh3.find_first_not_of("0123456789abcdef") != std::string::npos) {
    reader.Fail("xxh3", "16 hex digits", file.xxh3);
  }
  return file;
}

PartEntry ReadPart(const json& value, int64_t index, const PartEntry& expected,
                   const std::vector<int>& layers, const std::string& path) {
  std::string where = fmt::format("parts[{}]", index);
  Reader reader(value, where, path);
  reader.ExpectSize(5);
  PartEntry part;
  reader.Read("first_token", part.first_token);
  reader.Read("n_tokens", part.n_tokens);
  reader.Read("first_document", part.first_document);
  reader.Read("n_documents", part.n_documents);
  auto expect = [&](const char* name, int64_t found, int64_t wanted) {
    if (found != wanted) reader.Fail(name, std::to_string(wanted), std::to_string(found));
  };
  expect("first_token", part.first_token, expected.first_token);
  expect("first_document", part.first_document, expected.first_document);
  // Keeps sums of the counts inside 64 bits.
  constexpr int64_t kMaxCount = int64_t{1} << 48;
  if (part.n_tokens > kMaxCount) reader.Fail("n_tokens", "at most 2^48", "more");
  if (part.n_documents > kMaxCount) reader.Fail("n_documents", "at most 2^48", "more");
  const json& files = reader.Array("files");
  if (files.size() != layers.size() + 2) {
    reader.Fail("files", fmt::format("{} files", layers.size() + 2),
                fmt::format("{}", files.size()));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    std::string file_path = i == 0   ? DocumentsPath(index)
                            : i == 1 ? TokensPath(index)
                                     : RoutesPath(layers[i - 2], index);
    int64_t rows = i == 0 ? part.n_documents : part.n_tokens;
    part.files.push_back(
        ReadFile(files[i], fmt::format("{}.files[{}]", where, i), file_path, rows, path));
  }
  return part;
}

// nlohmann's parser recurses on nothing, but a deep value destroys itself deeply: bound it first.
json ParseBounded(std::string_view text, const std::string& path) {
  auto guard = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) {
      throw Error(ErrorKind::kCorrupt, fmt::format("cannot read manifest: {}: expected at most {} "
                                                   "levels of nesting, found more",
                                                   path, kMaxDepth));
    }
    return true;
  };
  try {
    return json::parse(text, guard);
  } catch (const json::exception&) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read manifest: {}: expected JSON, found something else", path));
  }
}

}  // namespace

std::string RunDescription::UnitBy(const std::string& dataset) const {
  if (bos == "stream") return "-";
  for (const DatasetDescription& described : datasets) {
    if (described.name == dataset) return described.unit_by;
  }
  return "";
}

std::vector<int> RunDescription::LayerNumbers() const {
  if (!layers.empty()) return layers;
  std::vector<int> numbers;
  for (int layer = 0; layer < n_route_layers(); ++layer) numbers.push_back(layer);
  return numbers;
}

void CheckDescription(const RunDescription& d) {
  auto expect = [](bool holds, const char* field, const char* limits, int64_t found) {
    if (holds) return;
    throw Error(ErrorKind::kBadInput, fmt::format("cannot use run description: {}: expected {}, "
                                                  "found {}",
                                                  field, limits, found));
  };
  constexpr int kMaxLayers = 1024;
  constexpr int kMaxExperts = 4096;
  expect(d.n_layers >= 1 && d.n_layers <= kMaxLayers, "n_layers", "1 to 1024", d.n_layers);
  expect(d.n_experts >= 0 && d.n_experts <= kMaxExperts, "n_experts", "1 to 4096, or 0: dense",
         d.n_experts);
  if (d.is_dense()) {
    expect(d.experts_per_token == 0, "experts_per_token", "0 without experts", d.experts_per_token);
    expect(!d.has_logits, "has_logits", "false (no router logits without experts)", d.has_logits);
    expect(d.layers.empty(), "layers", "no numbers of layers with routes without experts",
           static_cast<int64_t>(d.layers.size()));
  } else {
    expect(d.experts_per_token >= 1 && d.experts_per_token <= d.n_experts, "experts_per_token",
           "1 to n_experts", d.experts_per_token);
  }
  expect(d.tokens_per_part >= 1 && d.tokens_per_part <= (int64_t{1} << 40), "tokens_per_part",
         "1 to 2^40", d.tokens_per_part);
  expect(d.layers.empty() || d.layers.size() == static_cast<size_t>(d.n_layers), "layers",
         "n_layers numbers", static_cast<int64_t>(d.layers.size()));
  for (size_t i = 0; i < d.layers.size(); ++i) {
    expect(d.layers[i] >= 0 && d.layers[i] < 65'536 && (i == 0 || d.layers[i] > d.layers[i - 1]),
           "layers", "increasing numbers below 65536", d.layers[i]);
  }
}

RunDescription Normalised(RunDescription description) {
  auto fix = [](auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::string>) value = ValidUtf8(value);
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (std::string& text : value) text = ValidUtf8(text);
    }
  };
  VisitFields(description, [&](const char*, auto& value) { fix(value); });
  for (DatasetDescription& dataset : description.datasets) {
    fix(dataset.name), fix(dataset.unit_by), fix(dataset.text_template);
  }
  return description;
}

std::string FirstDifference(const RunDescription& ours, const RunDescription& theirs) {
  ordered_json fields;
  VisitFields(theirs, [&](const char* name, const auto& value) { fields[name] = ToJson(value); });
  std::string difference;
  VisitFields(ours, [&](const char* name, const auto& value) {
    if (!difference.empty() || ToJson(value) == fields[name]) return;
    difference = fmt::format("{}: {}, not {}", name, fields[name].dump(), ToJson(value).dump());
  });
  return difference;
}

int64_t Manifest::n_tokens() const {
  return parts.empty() ? 0 : parts.back().first_token + parts.back().n_tokens;
}
int64_t Manifest::n_documents() const {
  return parts.empty() ? 0 : parts.back().first_document + parts.back().n_documents;
}

std::string DocumentsPath(int64_t part) {
  return fmt::format("documents/part-{:05}.parquet", part);
}
std::string TokensPath(int64_t part) {
  return fmt::format("tokens/part-{:05}.parquet", part);
}
std::string RoutesPath(int layer, int64_t part) {
  return fmt::format("routes/layer={:02}/part-{:05}.parquet", layer, part);
}

namespace {

// All of the file but its tail.
std::string FormatHead(const Manifest& manifest) {
  ordered_json root;
  root["format"] = kFormat;
  root["schema_version"] = kSchemaVersion;
  root["state"] = manifest.complete ? "complete" : "partial";
  ordered_json& description = root["run"];
  VisitFields(manifest.description,
              [&](const char* name, const auto& value) { description[name] = ToJson(value); });
  root["n_documents"] = manifest.n_documents();
  root["n_tokens"] = manifest.n_tokens();
  root["vocabulary"] = ToJson(manifest.vocabulary);
  root["parts"] = ordered_json::array();
  for (const PartEntry& part : manifest.parts) {
    ordered_json entry = {{"first_token", part.first_token},
                          {"n_tokens", part.n_tokens},
                          {"first_document", part.first_document},
                          {"n_documents", part.n_documents},
                          {"files", ordered_json::array()}};
    for (const FileEntry& file : part.files) entry["files"].push_back(ToJson(file));
    root["parts"].push_back(std::move(entry));
  }
  std::string head = root.dump(2);
  head.resize(head.size() - 2);  // the line break and the brace of the end
  return head;
}

}  // namespace

std::string FormatManifest(const Manifest& manifest) {
  const std::string head = FormatHead(manifest);
  return head + Tail(head);
}

std::string ManifestHash(const Manifest& manifest) {
  return HashText(FormatHead(manifest));
}

Manifest ParseManifest(std::string_view text, const std::string& path) {
  size_t tail_bytes = Tail("").size();
  if (text.size() < tail_bytes ||
      text.substr(text.size() - tail_bytes) != Tail(text.substr(0, text.size() - tail_bytes))) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read manifest: {}: expected its own hash at the end, found "
                            "other text: the file was changed or is damaged",
                            path));
  }
  json root = ParseBounded(text, path);
  Reader reader(root, "", path);
  std::string word;
  reader.Read("format", word);
  if (word != kFormat) reader.Fail("format", kFormat, word);
  int version = 0;
  reader.Read("schema_version", version);
  if (version != kSchemaVersion) {
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot read manifest: {}: expected schema version {}, found {}; use the "
                    "version of moescope that wrote the run",
                    path, kSchemaVersion, version));
  }
  reader.ExpectSize(9);
  Manifest manifest;
  reader.Read("state", word);
  if (word != "complete" && word != "partial") reader.Fail("state", "complete or partial", word);
  manifest.complete = word == "complete";
  Reader run(reader.Member("run"), "run", path);
  size_t n_fields = 0;
  VisitFields(manifest.description, [&](const char* name, auto& value) {
    run.Read(name, value);
    ++n_fields;
  });
  run.ExpectSize(n_fields);
  try {
    CheckDescription(manifest.description);
  } catch (const Error& error) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read manifest: {}: {}", path, error.what()));
  }
  int64_t vocab_size = manifest.description.vocab_size;
  manifest.vocabulary =
      ReadFile(reader.Member("vocabulary"), "vocabulary", kVocabularyPath, vocab_size, path);
  std::vector<int> layers = manifest.description.LayerNumbers();
  PartEntry expected;
  for (const json& value : reader.Array("parts")) {
    auto index = static_cast<int64_t>(manifest.parts.size());
    manifest.parts.push_back(ReadPart(value, index, expected, layers, path));
    expected.first_token = manifest.n_tokens();
    expected.first_document = manifest.n_documents();
  }
  int64_t count = 0;
  reader.Read("n_tokens", count);
  if (count != manifest.n_tokens()) reader.Fail("n_tokens", "the sum over parts", "another count");
  reader.Read("n_documents", count);
  if (count != manifest.n_documents()) {
    reader.Fail("n_documents", "the sum over parts", "another count");
  }
  return manifest;
}

Manifest ReadManifest(const std::string& directory) {
  std::string path = (std::filesystem::path(directory) / kManifestName).string();
  std::error_code ignored;
  if (!std::filesystem::exists(directory, ignored)) {
    throw Error(ErrorKind::kNotFound, fmt::format("cannot open run: {}: expected a run directory, "
                                                  "found nothing",
                                                  directory));
  }
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ErrorKind::kNotFound, fmt::format("cannot open run: {}: expected a run directory, "
                                                  "found no {} in it",
                                                  directory, kManifestName));
  }
  return ParseManifest(ReadWholeFile(path, kMaxManifestBytes), path);
}

}  // namespace moescope::store
