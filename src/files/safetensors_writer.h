// Writes one safetensors file: tensors are declared first, then their bytes follow in that order.
// Appears under its name only when complete. Source: the format section of the safetensors README.
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
class SafetensorsWriter {
 public:
  // shape: row-major, outermost first. Requires: F32, F16 or BF16; a name not declared before.
  void DeclareTensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape);
  // Size of the finished file, for the disk and for progress.
  uint64_t TotalBytes() const;

  // Writes the header. Throws Error(kIo), before anything is written when the disk is too small.
  void Begin(const std::string& path);
  // The next bytes of the tensors, in the order declared. Throws Error(kIo).
  // Requires: not more than declared.
  void Append(ByteSpan bytes);
  // Requires: all bytes of all tensors appended. Throws Error(kIo).
  void Commit();

 private:
  std::string Header() const;

  std::string table_;  // of the tensors, as JSON members
  uint64_t data_bytes_ = 0;
  uint64_t appended_bytes_ = 0;
  std::unique_ptr<DurableFileWriter> file_;
};

}  // namespace moescope::files
