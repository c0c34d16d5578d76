// A checkpoint of any layout as one list of named tensors: what the model is made of and where its
// bytes lie. Nothing is loaded; the readers below it have checked every offset and size.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/platform/file.h"
#include "base/tensor/dtype.h"
#include "files/folder.h"
#include "files/model_config.h"
#include "files/tensor_kind.h"
#include "files/vocabulary.h"

namespace moescope::files {

// One tensor, or a slice of a merged or fused one. Shapes are row-major, outermost first.
struct TensorLocation {
  TensorId id;
  std::string name;  // as in the file; a slice has the merged tensor's name
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int file = 0;         // index into Checkpoint::files()
  uint64_t offset = 0;  // from the start of that file; any alignment
  uint64_t n_bytes = 0;
  // Not 0: stored as [in, out], each column of ours this many bytes after the one before it; then
  // only Checkpoint::ReadRows gives rows.
  uint64_t column_stride = 0;

  int64_t n_rows() const { return shape.size() == 1 ? 1 : shape[0]; }
  uint64_t row_bytes() const { return n_bytes / static_cast<uint64_t>(n_rows()); }
};

class Checkpoint {
 public:
  // `path`: a GGUF file (of a split model any part), a safetensors file with config.json or
  // params.json beside it, a config.json, or a folder with one of these (and optionally weights).
  // Requires nothing of the content: every limit is checked here, and that the tensors the
  // configuration calls for are all present with the right shapes.
  // Throws Error: kNotFound, kCorrupt, kBadInput, kUnsupported (pickles and unknown architectures,
  // by name), kIo.
  static Checkpoint Open(const std::string& path);
  // The same for one file of a folder, or for the whole folder when `name` is empty.
  static Checkpoint Open(const Folder& folder, const std::string& name);

  const ModelConfig& config() const { return config_; }
  const std::string& path() const { return path_; }
  // "safetensors", "consolidated safetensors" or "gguf".
  const std::string& format() const { return format_; }
  std::span<const std::string> files() const { return files_; }
  // True when weights are there; a folder with only config.json can be inspected but not run.
  bool has_weights() const { return !tensors_.empty(); }
  const std::map<TensorId, TensorLocation>& tensors() const { return tensors_; }
  // Throws Error(kInternal) if absent: Open has checked that all that are needed exist.
  const TensorLocation& tensor(TensorId id) const;

  // Rows [first, first + n) of a tensor as stored, each of row_bytes(), however they lie in the
  // file. Requires: out.size() == n * row_bytes(). Throws Error(kIo).
  void ReadRows(const TensorLocation& location, int64_t first, int64_t n,
                std::span<std::byte> out) const;

  // The open file, for reading tensors from: the bytes that were checked, even if the path has
  // been replaced since.
  const RandomAccessFile& file(int index) const {
    return *handles_[static_cast<size_t>(index)].file;
  }

  // Null when the checkpoint carries no tokenizer we read; tokenizer_note() then says why.
  const std::shared_ptr<const Vocabulary>& vocabulary() const { return vocabulary_; }
  const std::string& tokenizer_note() const { return tokenizer_note_; }

  // The source of the chat template, as the checkpoint has it; nothing when there is none.
  const std::optional<std::string>& chat_template() const { return chat_template_; }

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
  std::optional<std::string> chat_template_;
};

}  // namespace moescope::files
