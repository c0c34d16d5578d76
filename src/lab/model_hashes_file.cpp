// The file that hashes of a model are kept in: one line a file and a part, its own hash at the end.
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/platform/durable_file.h"
#include "base/platform/file.h"
#include "files/json_events.h"
#include "lab/model_hashes.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFormat = "moescope model hashes";
constexpr int kSchemaVersion = 1;
// About half a million tensors, ten times those of the largest published models.
constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;
constexpr size_t kHexDigits = 16;

std::string Hex(uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

std::string Tail(std::string_view head) {
  return fmt::format(",\n\"own_xxh3\": \"{}\"}}\n", Hex(XXH3_64bits(head.data(), head.size())));
}

std::string Quoted(const std::string& text) {
  return json(text).dump();
}

[[noreturn]] void Fail(const std::string& path, const std::string& where,
                       const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read recorded hashes: {}: {}: expected {}, found {}; record them "
                          "again with --record",
                          path, where, expected, found));
}

// One list of the document, whose elements are read in order.
class Row {
 public:
  Row(const json& row, size_t n, std::string where, const std::string& path)
      : row_(row), where_(std::move(where)), path_(path) {
    if (!row.is_array() || row.size() != n) {
      Fail(path_, where_, fmt::format("a list of {}", n), row.type_name());
    }
  }

  uint64_t Count(size_t i, uint64_t limit) const {
    if (!row_[i].is_number_unsigned()) Fail(path_, At(i), "a count", row_[i].type_name());
    const auto value = row_[i].get<uint64_t>();
    if (value > limit) Fail(path_, At(i), fmt::format("at most {}", limit), std::to_string(value));
    return value;
  }
  std::string Text(size_t i) const {
    if (!row_[i].is_string()) Fail(path_, At(i), "a string", row_[i].type_name());
    return row_[i].get<std::string>();
  }
  uint64_t Hash(size_t i) const {
    const std::string text = Text(i);
    if (text.size() != kHexDigits ||
        text.find_first_not_of("0123456789abcdef") != std::string::npos) {
      Fail(path_, At(i), "16 hex digits", "other text");
    }
    return std::stoull(text, nullptr, 16);
  }

 private:
  std::string At(size_t i) const { return fmt::format("{}[{}]", where_, i); }
  const json& row_;
  std::string where_;
  const std::string& path_;
};

const json& Member(const json& root, const char* name, const std::string& path) {
  const auto found = root.find(name);
  if (found == root.end()) Fail(path, name, "a value", "none");
  return *found;
}

const json& List(const json& root, const char* name, const std::string& path) {
  const json& list = Member(root, name, path);
  if (!list.is_array()) Fail(path, name, "a list", list.type_name());
  return list;
}

HashedPart ReadPart(const json& value, const std::string& where,
                    const std::vector<HashedFile>& files, const std::string& path) {
  Row row(value, 6, where, path);
  HashedPart part;
  part.file = static_cast<int>(row.Count(0, files.size() - 1));
  part.name = row.Text(1);
  part.is_rest = row.Count(2, 1) == 1;
  const uint64_t file_bytes = files[static_cast<size_t>(part.file)].n_bytes;
  part.offset = row.Count(3, file_bytes);
  part.n_bytes = row.Count(4, file_bytes - part.offset);
  part.xxh3 = row.Hash(5);
  return part;
}

void CheckHeader(const json& root, const std::string& path) {
  if (!root.is_object()) Fail(path, "document", "an object", root.type_name());
  const json& format = Member(root, "format", path);
  if (format != kFormat) Fail(path, "format", kFormat, "another");
  const json& version = Member(root, "schema_version", path);
  if (version == kSchemaVersion) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot read recorded hashes: {}: expected schema version {}, found "
                          "another; record them again with --record",
                          path, kSchemaVersion));
}

}  // namespace

std::string FormatModelHashes(const ModelHashes& hashes) {
  std::string text =
      fmt::format("{{\"format\": \"{}\",\n\"schema_version\": {},\n\"model\": {},\n\"files\": [",
                  kFormat, kSchemaVersion, Quoted(hashes.model));
  std::string_view separator = "\n";
  for (const HashedFile& file : hashes.files) {
    text += fmt::format("{}[{}, {}, {}]", separator, Quoted(file.name), file.n_bytes,
                        std::max<int64_t>(file.modified, 0));
    separator = ",\n";
  }
  text += "],\n\"parts\": [";
  separator = "\n";
  for (const HashedPart& part : hashes.parts) {
    text += fmt::format("{}[{}, {}, {}, {}, {}, \"{}\"]", separator, part.file, Quoted(part.name),
                        part.is_rest ? 1 : 0, part.offset, part.n_bytes, Hex(part.xxh3));
    separator = ",\n";
  }
  text += "]";
  return SealModelHashes(text);
}

std::string SealModelHashes(const std::string& head) {
  return head + Tail(head);
}

ModelHashes ParseModelHashes(std::string_view text, const std::string& path) {
  const size_t tail_bytes = Tail("").size();
  if (text.size() < tail_bytes ||
      text.substr(text.size() - tail_bytes) != Tail(text.substr(0, text.size() - tail_bytes))) {
    Fail(path, "end", "its own hash", "other text: the file was changed or is damaged");
  }
  files::CheckJson(text, path);
  const json root = json::parse(text);
  CheckHeader(root, path);
  ModelHashes hashes;
  const json& model = Member(root, "model", path);
  if (!model.is_string()) Fail(path, "model", "a string", model.type_name());
  hashes.model = model.get<std::string>();
  for (const json& value : List(root, "files", path)) {
    Row row(value, 3, fmt::format("files[{}]", hashes.files.size()), path);
    hashes.files.push_back({.name = row.Text(0),
                            .n_bytes = row.Count(1, INT64_MAX),
                            .modified = static_cast<int64_t>(row.Count(2, INT64_MAX))});
  }
  if (hashes.files.empty()) Fail(path, "files", "at least one", "none");
  std::set<std::pair<int, std::string>> seen;
  for (const json& value : List(root, "parts", path)) {
    const std::string where = fmt::format("parts[{}]", hashes.parts.size());
    hashes.parts.push_back(ReadPart(value, where, hashes.files, path));
    const HashedPart& part = hashes.parts.back();
    if (!seen.insert({part.file, part.name}).second) Fail(path, where, "a new name", "one twice");
  }
  return hashes;
}

std::string ModelHashesPath(const std::string& folder, const std::string& model) {
  const std::string name = AbsoluteModelPath(model);
  return (fs::path(folder) / (Hex(XXH3_64bits(name.data(), name.size())) + ".json")).string();
}

ModelHashes ReadModelHashes(const std::string& path, const std::string& model) {
  ModelHashes hashes = ParseModelHashes(ReadWholeFile(path, kMaxFileBytes), path);
  const std::string name = AbsoluteModelPath(model);
  if (hashes.model != name) Fail(path, "model", name, hashes.model);
  return hashes;
}

void WriteModelHashes(const std::string& path, const ModelHashes& hashes) {
  const std::string text = FormatModelHashes(hashes);
  if (text.size() > kMaxFileBytes) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot record hashes: {}: {} tensors are more than a file of {} bytes "
                            "holds",
                            hashes.model, hashes.n_tensors(), kMaxFileBytes));
  }
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) ThrowErrno(error.value(), "create", fs::path(path).parent_path().string());
  ReplaceFile(path, AsBytes(text));
}

}  // namespace moescope::lab
