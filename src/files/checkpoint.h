// A checkpoint of any layout as one list of named tensors: what the model is made of and where its
// bytes lie. Nothing is loaded; the readers below it have checked every offset and size.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/platform/file.h"
#include "base/tensor/dtype.h"
#include "files/folder.h"
#include "files/model_config.h"
#include "files/vocabulary.h"

namespace moescope::files {

enum class TensorKind : uint8_t {
  kTokenEmbedding,   // [vocab_size, model_dim]
  kAttentionNorm,    // [model_dim]
  kQuery,            // [n_heads * head_dim, model_dim]
  kKey,              // [n_kv_heads * head_dim, model_dim]
  kValue,            // [n_kv_heads * head_dim, model_dim]
  kAttentionOutput,  // [model_dim, n_heads * head_dim]
  kMoeNorm,          // [model_dim]
  kRouter,           // [n_experts, model_dim]
  kGateProj,         // [ffn_dim, model_dim], one expert
  kUpProj,           // [ffn_dim, model_dim], one expert
  kDownProj,         // [model_dim, ffn_dim], one expert
  kFinalNorm,        // [model_dim]
  kOutputHead,       // [vocab_size, model_dim]
};
// "expert gate_proj", "router", ... for people.
std::string_view Name(TensorKind kind);
// The shape the configuration calls for; of an expert's tensor, one expert's.
std::vector<int64_t> ShapeOf(TensorKind kind, const ModelConfig& config);

struct TensorId {
  TensorKind kind;
  int layer = -1;   // -1 outside layers
  int expert = -1;  // -1 outside experts
  auto operator<=>(const TensorId&) const = default;
};

// One tensor, or one expert's slice of a merged tensor. Shapes are row-major, outermost first.
struct TensorLocation {
  TensorId id;
  std::string name;  // as in the file; a slice has the merged tensor's name
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int file = 0;         // index into Checkpoint::files()
  uint64_t offset = 0;  // from the start of that file; any alignment
  uint64_t n_bytes = 0;
};

class Checkpoint {
 public:
  // `path`: a GGUF file, a safetensors file with config.json beside it, a config.json, or a folder
  // with config.json (and optionally weights), also as the Hugging Face cache keeps it.
  // Requires nothing of the content: every limit is checked here, and that the tensors the
  // configuration calls for are all present with the right shapes.
  // Throws Error: kNotFound, kCorrupt, kBadInput, kUnsupported (pickles and unknown architectures,
  // by name), kIo.
  static Checkpoint Open(const std::string& path);
  // The same for one file of a folder, or for the whole folder when `name` is empty.
  static Checkpoint Open(const Folder& folder, const std::string& name);

  const ModelConfig& config() const { return config_; }
  const std::string& path() const { return path_; }
  // "safetensors" or "gguf".
  const std::string& format() const { return format_; }
  std::span<const std::string> files() const { return files_; }
  // True when weights are there; a folder with only config.json can be inspected but not run.
  bool has_weights() const { return !tensors_.empty(); }
  const std::map<TensorId, TensorLocation>& tensors() const { return tensors_; }
  // Throws Error(kInternal) if absent: Open has checked that all that are needed exist.
  const TensorLocation& tensor(TensorId id) const;

  // The open file, for reading tensors from: the bytes that were checked, even if the path has
  // been replaced since.
  const RandomAccessFile& file(int index) const {
    return *handles_[static_cast<size_t>(index)].file;
  }

  // Null when the checkpoint carries no tokenizer we read; tokenizer_note() then says why.
  const std::shared_ptr<const Vocabulary>& vocabulary() const { return vocabulary_; }
  const std::string& tokenizer_note() const { return tokenizer_note_; }

  // 16 hex digits of XXH3 over headers, sizes and sampled blocks of every file: instant, and equal
  // wherever the files lie.
  std::string Identity() const;

 private:
  friend class CheckpointBuilder;
  struct Handle {
    std::shared_ptr<const RandomAccessFile> file;
    uint64_t header_bytes = 0;
  };
  std::string path_;
  std::string format_;
  ModelConfig config_;
  std::vector<std::string> files_;
  std::vector<Handle> handles_;  // of the same files
  std::map<TensorId, TensorLocation> tensors_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::string tokenizer_note_;
};

}  // namespace moescope::files
