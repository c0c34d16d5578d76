#include "files/checkpoint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "files/gguf.h"
#include "files/gguf_checkpoint.h"
#include "files/hub_cache.h"
#include "files/safetensors_checkpoint.h"

namespace moescope::files {
namespace {

// 32 blocks of 4 KiB a file: any retraining changes all of them, and a disk delivers them at once.
constexpr uint64_t kSampledBlocks = 32;
constexpr uint64_t kSampledBlockBytes = 4096;

bool StartsWith(const RandomAccessFile& file, std::string_view magic) {
  if (file.size() < magic.size()) return false;
  std::string begin(magic.size(), '\0');
  file.Read(0, std::as_writable_bytes(std::span(begin)));
  return begin == magic;
}

bool LooksLikePickle(const RandomAccessFile& file) {
  return StartsWith(file, "PK\x03\x04") || StartsWith(file, "\x80\x02");
}

Checkpoint OpenNamedFile(const Folder& folder, const std::string& name) {
  if (name == "model.safetensors.index.json") return OpenSafetensorsCheckpoint(folder, "");
  if (name == "config.json" || name == "params.json") {
    return OpenSafetensorsCheckpoint(folder, name);
  }
  std::shared_ptr<const RandomAccessFile> file = folder.Open(name);
  if (std::string_view(name).ends_with(".safetensors")) {
    return OpenSafetensorsCheckpoint(folder, name);
  }
  if (StartsWith(*file, kGgufMagic) || std::string_view(name).ends_with(".gguf")) {
    return OpenGgufCheckpoint(folder, name);
  }
  if (LooksLikePickle(*file)) ThrowPickle(file->path());
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("cannot open checkpoint: {}: expected a GGUF file, a .safetensors file, or "
                  "a folder with config.json",
                  file->path()));
}

// A folder without config.json may still hold a model: one GGUF file, or one split into parts.
Checkpoint OpenWholeFolder(const Folder& folder) {
  std::vector<std::string> found;
  for (const std::string& name : folder.names()) {
    if (!std::string_view(name).ends_with(".gguf")) continue;
    std::optional<SplitName> split = ParseSplitName(name);
    if (!split || split->number == 1) found.push_back(name);
  }
  if (folder.Has("config.json") || found.empty()) return OpenSafetensorsCheckpoint(folder, "");
  if (found.size() == 1) return OpenNamedFile(folder, found[0]);
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot open checkpoint: {}: expected one model, found {} GGUF files such as "
                  "{}; name one of them",
                  folder.path(), found.size(), found[0]));
}

// One number out of everything that is added.
class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) { XXH3_64bits_reset(state_); }
  ~Hasher() { XXH3_freeState(state_); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void Add(ByteSpan bytes) { XXH3_64bits_update(state_, bytes.data(), bytes.size()); }
  void AddRange(const RandomAccessFile& file, uint64_t begin, uint64_t end) {
    std::vector<std::byte> buffer(std::min<uint64_t>(end - begin, uint64_t{1} << 20));
    while (begin < end) {
      std::span part(buffer.data(), std::min<uint64_t>(buffer.size(), end - begin));
      file.Read(begin, part);
      Add(part);
      begin += part.size();
    }
  }
  std::string Hex() const { return fmt::format("{:016x}", XXH3_64bits_digest(state_)); }

 private:
  XXH3_state_t* state_;
};

// What a Mixtral never has, so that identities of old stay as they are.
std::string CanonicalExtras(const ModelConfig& c) {
  const RopeScaling& rope = c.rope_scaling;
  std::string extras;
  auto add = [&extras](const char* name, auto value, auto usual) {
    if (value != usual) extras += fmt::format(" {} {}", name, value);
  };
  add("normalise", c.normalise_routing_weights, true);
  add("norm", static_cast<int>(c.norm), 0);
  add("positions", static_cast<int>(c.positions), 0);
  add("window", c.sliding_window, 0);
  add("query_key_norm", static_cast<int>(c.query_key_norm), 0);
  add("feed_forward", static_cast<int>(c.feed_forward), 0);
  if (rope.kind != RopeScaling::Kind::kNone) {
    extras +=
        fmt::format(" rope {} {} {} {} {} {} {} {} {}", static_cast<int>(rope.kind), rope.factor,
                    rope.original_context, rope.low_frequency_factor, rope.high_frequency_factor,
                    rope.beta_fast, rope.beta_slow, rope.truncate, rope.attention_factor);
  }
  return extras;
}

// The configuration in one line; doubles in the shortest form that reads back the same.
std::string Canonical(const ModelConfig& c) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}{}", c.architecture,
                     c.model_dim, c.n_layers, c.n_heads, c.n_kv_heads, c.head_dim, c.ffn_dim,
                     c.vocab_size, c.context, c.n_experts, c.experts_per_token, c.norm_eps,
                     c.rope_theta, static_cast<int>(c.rope_layout), c.tied_embeddings, c.bos_id,
                     c.eos_id, CanonicalExtras(c));
}

}  // namespace

Checkpoint Checkpoint::Open(const std::string& named) {
  const std::string path = ResolveModelPath(named);
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return Open(*OpenFolder(path), "");
  if (!std::filesystem::exists(path, ignored) && !ignored) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot open model: {}: no such file or folder; expected a GGUF or "
                            ".safetensors file, a folder with one, or owner/name from the Hugging "
                            "Face cache",
                            path));
  }
  OpenFile(path);  // says what is wrong with the path itself before its folder is looked at
  std::filesystem::path whole(path);
  std::string parent = whole.parent_path().string();
  return Open(*OpenFolder(parent.empty() ? "." : parent), whole.filename().string());
}

Checkpoint Checkpoint::Open(const Folder& folder, const std::string& name) {
  return name.empty() ? OpenWholeFolder(folder) : OpenNamedFile(folder, name);
}

const TensorLocation& Checkpoint::tensor(TensorId id) const {
  auto at = tensors_.find(id);
  MOESCOPE_CHECK(at != tensors_.end());
  return at->second;
}

void Checkpoint::ReadRows(const TensorLocation& location, int64_t first, int64_t n,
                          std::span<std::byte> out) const {
  const RandomAccessFile& file = this->file(location.file);
  const uint64_t row_bytes = location.row_bytes();
  if (location.column_stride == 0) {
    file.Read(location.offset + static_cast<uint64_t>(first) * row_bytes, out);
    return;
  }
  // One column of the rows wanted is one stretch of the file.
  const auto n_columns = static_cast<uint64_t>(location.shape.back());
  const uint64_t element = row_bytes / n_columns;
  std::vector<std::byte> column(static_cast<uint64_t>(n) * element);
  for (uint64_t c = 0; c < n_columns; ++c) {
    file.Read(location.offset + c * location.column_stride + static_cast<uint64_t>(first) * element,
              column);
    for (uint64_t row = 0; row < static_cast<uint64_t>(n); ++row) {
      std::memcpy(out.data() + row * row_bytes + c * element, column.data() + row * element,
                  element);
    }
  }
}

std::string Checkpoint::Identity() const {
  Hasher hasher;
  hasher.Add(AsBytes(Canonical(config_)));
  for (const Handle& handle : handles_) {
    const RandomAccessFile& file = *handle.file;
    uint64_t size = file.size();
    hasher.Add(std::as_bytes(std::span(&size, 1)));
    hasher.AddRange(file, 0, handle.header_bytes);
    uint64_t data_bytes = size - handle.header_bytes;
    uint64_t block = std::min(kSampledBlockBytes, data_bytes);
    for (uint64_t i = 0; i < kSampledBlocks; ++i) {
      // Evenly spaced, the first and the last block included.
      uint64_t step = (data_bytes - block) / (kSampledBlocks - 1);
      uint64_t begin =
          handle.header_bytes + (i + 1 == kSampledBlocks ? data_bytes - block : i * step);
      hasher.AddRange(file, begin, begin + block);
    }
  }
  return hasher.Hex();
}

}  // namespace moescope::files
