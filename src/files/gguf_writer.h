// Writes one GGUF v3 file: metadata and tensors are declared first, then the tensors' bytes follow
// in that order. Appears under its name only when complete. Source: the GGUF specification
// (ggml/docs/gguf.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/platform/durable_file.h"
#include "base/tensor/dtype.h"

namespace moescope::files {

// Content depends on the calls alone: no time, host or path. Not thread-safe.
class GgufWriter {
 public:
  // Metadata, in the order of the calls.
  void AddText(std::string_view key, std::string_view value);
  void AddU32(std::string_view key, uint32_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddTexts(std::string_view key, const std::vector<std::string_view>& values);
  void AddF32s(std::string_view key, const std::vector<float>& values);
  void AddI32s(std::string_view key, const std::vector<int32_t>& values);

  // shape: row-major, outermost first; the file's order is made here.
  // Requires: rows of whole blocks of the type.
  void DeclareTensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape);
  // Size of the finished file, for the disk and for progress.
  uint64_t TotalBytes() const;

  // Writes the header. Throws Error(kIo), before anything is written when the disk is too small.
  void Begin(const std::string& path);
  // The next bytes of the tensors, in the order declared; padding between them is added.
  // Throws Error(kIo).
  void Append(ByteSpan bytes);
  // Requires: all bytes of all tensors appended. Throws Error(kIo).
  void Commit();

 private:
  struct Declared {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    uint64_t n_bytes;
    uint64_t offset;  // within the data
  };
  void Key(std::string_view key, uint32_t type);
  void Array(std::string_view key, uint32_t type, uint64_t count);
  std::string Header() const;
  void Pad(uint64_t n);

  std::string keys_;
  uint64_t n_keys_ = 0;
  std::vector<Declared> tensors_;
  uint64_t data_bytes_ = 0;  // padding included
  std::unique_ptr<DurableFileWriter> file_;
  size_t current_ = 0;  // tensor being appended
  uint64_t current_bytes_ = 0;
};

}  // namespace moescope::files
