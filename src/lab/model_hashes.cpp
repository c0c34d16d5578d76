#include "lab/model_hashes.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/file.h"
#include "base/valid_utf8.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

// Large enough for a disk to deliver at full speed, small enough to stay in a cache.
constexpr uint64_t kBlockBytes = uint64_t{4} << 20;

// The files beside safetensors that Checkpoint::Open or a tokenizer reads.
constexpr const char* kBesideWeights[] = {"config.json",
                                          "params.json",
                                          "generation_config.json",
                                          "model.safetensors.index.json",
                                          "consolidated.safetensors.index.json",
                                          "tokenizer.model",
                                          "tokenizer.json",
                                          "tokenizer_config.json"};

class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void Add(ByteSpan bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t Digest() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

int64_t ModifiedNanoseconds(const std::string& path) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(path, error);
  if (error) return 0;
  const auto since_1970 = fs::file_time_type::clock::to_sys(time).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
}

std::vector<std::string> FilesBeside(const files::Checkpoint& checkpoint) {
  std::vector<std::string> paths;
  if (checkpoint.format() == "gguf" || checkpoint.files().empty()) return paths;
  const fs::path folder = fs::path(checkpoint.files()[0]).parent_path();
  for (const char* name : kBesideWeights) {
    std::error_code ignored;
    const fs::path path = folder / name;
    if (fs::is_regular_file(path, ignored)) paths.push_back(path.string());
  }
  return paths;
}

// The name of a slice: which expert, and which matrix where several lie in one tensor.
std::string SliceName(const files::TensorLocation& location, bool several_kinds) {
  std::string_view kind = files::Name(location.id.kind);
  if (kind.starts_with("expert ")) kind.remove_prefix(7);
  if (location.id.expert < 0) return fmt::format("{} ({})", location.name, kind);
  return several_kinds
             ? fmt::format("{} ({} of expert {})", location.name, kind, location.id.expert)
             : fmt::format("{} (expert {})", location.name, location.id.expert);
}

// A stored tensor whose slices lie interleaved is one part: its slices are no stretches of bytes.
HashedPart WholeTensor(const std::vector<const files::TensorLocation*>& slices) {
  HashedPart whole{.file = slices[0]->file, .name = slices[0]->name, .offset = UINT64_MAX};
  for (const files::TensorLocation* slice : slices) {
    whole.offset = std::min(whole.offset, slice->offset);
    whole.n_bytes += slice->n_bytes;
  }
  return whole;
}

// What is to be hashed of each file, in the order it lies there.
std::vector<std::vector<HashedPart>> PartsByFile(const files::Checkpoint& checkpoint) {
  std::map<std::pair<int, std::string>, std::vector<const files::TensorLocation*>> stored;
  for (const auto& [id, location] : checkpoint.tensors()) {
    const bool shared =
        id.kind == files::TensorKind::kOutputHead && checkpoint.config().tied_embeddings;
    if (!shared) stored[{location.file, location.name}].push_back(&location);
  }
  std::vector<std::vector<HashedPart>> parts(checkpoint.files().size());
  for (const auto& [key, slices] : stored) {
    std::vector<HashedPart>& of_file = parts[static_cast<size_t>(key.first)];
    if (slices.size() == 1 || slices[0]->column_stride != 0) {
      of_file.push_back(WholeTensor(slices));
      continue;
    }
    const bool several_kinds = slices.front()->id.kind != slices.back()->id.kind;
    for (const files::TensorLocation* slice : slices) {
      of_file.push_back({.file = key.first,
                         .name = SliceName(*slice, several_kinds),
                         .offset = slice->offset,
                         .n_bytes = slice->n_bytes});
    }
  }
  for (std::vector<HashedPart>& of_file : parts) {
    std::sort(of_file.begin(), of_file.end(),
              [](const HashedPart& a, const HashedPart& b) { return a.offset < b.offset; });
  }
  return parts;
}

// Reads files from front to back and hashes each part of them and the rest.
class FileHasher {
 public:
  FileHasher(ModelHashes& out, FunctionRef<void(uint64_t)> progress)
      : out_(out), progress_(progress), buffer_(kBlockBytes) {}

  void AddFile(const RandomAccessFile& file, std::vector<HashedPart> parts) {
    const auto index = static_cast<int>(out_.files.size());
    out_.files.push_back({.name = ValidUtf8(fs::path(file.path()).filename().string()),
                          .n_bytes = file.size(),
                          .modified = ModifiedNanoseconds(file.path())});
    HashedPart rest{.file = index, .name = "outside tensors", .is_rest = true};
    Hasher rest_hasher;
    uint64_t at = 0;
    for (HashedPart& part : parts) {
      rest.n_bytes += part.offset - at;
      AddRange(file, at, part.offset, rest_hasher);
      Hasher hasher;
      at = part.offset + part.n_bytes;
      AddRange(file, part.offset, at, hasher);
      part.file = index;
      part.name = ValidUtf8(part.name);
      part.xxh3 = hasher.Digest();
      out_.parts.push_back(std::move(part));
    }
    rest.n_bytes += file.size() - at;
    AddRange(file, at, file.size(), rest_hasher);
    rest.xxh3 = rest_hasher.Digest();
    out_.parts.push_back(std::move(rest));
  }

 private:
  void AddRange(const RandomAccessFile& file, uint64_t begin, uint64_t end, Hasher& hasher) {
    while (begin < end) {
      ThrowIfCancelled();
      const std::span block(buffer_.data(), std::min<uint64_t>(buffer_.size(), end - begin));
      file.Read(begin, block);
      hasher.Add(block);
      begin += block.size();
      done_ += block.size();
      progress_(done_);
    }
  }

  ModelHashes& out_;
  FunctionRef<void(uint64_t)> progress_;
  std::vector<std::byte> buffer_;
  uint64_t done_ = 0;
};

std::string Hex(uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

using PartKey = std::pair<std::string, std::string>;  // file, part
std::map<PartKey, const HashedPart*> Index(const ModelHashes& hashes) {
  std::map<PartKey, const HashedPart*> index;
  for (const HashedPart& part : hashes.parts) {
    index[{hashes.files[static_cast<size_t>(part.file)].name, part.name}] = &part;
  }
  return index;
}

// What differs between a part as recorded and as found; empty if nothing does.
std::string Difference(const HashedPart& recorded, const HashedPart& found) {
  if (recorded.n_bytes != found.n_bytes) {
    return fmt::format("expected {} bytes, found {}", recorded.n_bytes, found.n_bytes);
  }
  if (recorded.offset != found.offset) {
    return fmt::format("expected at offset {}, found at {}", recorded.offset, found.offset);
  }
  if (recorded.xxh3 == found.xxh3) return "";
  return fmt::format("expected hash {}, found {}", Hex(recorded.xxh3), Hex(found.xxh3));
}

}  // namespace

uint64_t ModelHashes::n_tensors() const {
  return static_cast<uint64_t>(
      std::count_if(parts.begin(), parts.end(), [](const HashedPart& p) { return !p.is_rest; }));
}

uint64_t ModelHashes::n_bytes() const {
  uint64_t total = 0;
  for (const HashedFile& file : files) total += file.n_bytes;
  return total;
}

std::string AbsoluteModelPath(const std::string& path) {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  return ValidUtf8(error ? path : resolved.string());
}

uint64_t BytesToHash(const files::Checkpoint& checkpoint) {
  uint64_t total = 0;
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    total += checkpoint.file(static_cast<int>(i)).size();
  }
  for (const std::string& path : FilesBeside(checkpoint)) total += OpenFile(path)->size();
  return total;
}

ModelHashes HashModel(const files::Checkpoint& checkpoint, FunctionRef<void(uint64_t)> progress) {
  if (!checkpoint.has_weights()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot hash model: {}: expected weights, found a configuration alone",
                            checkpoint.path()));
  }
  ModelHashes hashes;
  hashes.model = AbsoluteModelPath(checkpoint.path());
  FileHasher hasher(hashes, progress);
  std::vector<std::vector<HashedPart>> parts = PartsByFile(checkpoint);
  for (size_t i = 0; i < parts.size(); ++i) {
    hasher.AddFile(checkpoint.file(static_cast<int>(i)), std::move(parts[i]));
  }
  for (const std::string& path : FilesBeside(checkpoint)) hasher.AddFile(*OpenFile(path), {});
  return hashes;
}

std::vector<HashProblem> CompareModelHashes(const ModelHashes& recorded, const ModelHashes& found) {
  std::map<std::string, int64_t> modified;
  for (const HashedFile& file : found.files) modified[file.name] = file.modified;
  const auto recorded_parts = Index(recorded), found_parts = Index(found);
  std::vector<HashProblem> problems;
  for (const HashedPart& part : recorded.parts) {
    const HashedFile& file = recorded.files[static_cast<size_t>(part.file)];
    const auto at = found_parts.find({file.name, part.name});
    std::string what =
        at == found_parts.end() ? "not there any more" : Difference(part, *at->second);
    const auto date = modified.find(file.name);
    if (what.empty()) continue;
    problems.push_back({.file = file.name,
                        .part = part.name,
                        .what = std::move(what),
                        .modified = date == modified.end() || date->second != file.modified});
  }
  for (const HashedPart& part : found.parts) {
    const HashedFile& file = found.files[static_cast<size_t>(part.file)];
    if (recorded_parts.contains({file.name, part.name})) continue;
    problems.push_back({.file = file.name, .part = part.name, .what = "not recorded"});
  }
  return problems;
}

}  // namespace moescope::lab
