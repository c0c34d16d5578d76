// Arrays of NumPy's .npy files: float32 of one or two dimensions, the form in which activations go
// to other programs and directions come back. Source: "A simple file format for NumPy arrays".
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/platform/file.h"

namespace moescope::files {

// A file whose header has been checked against its size. Thread-safe.
class NpyArray {
 public:
  // Throws Error as OpenFile; kCorrupt for anything that is not such a file, whole and without
  // bytes beyond its array; kUnsupported for other element types, for columns first, for other than
  // one or two dimensions.
  static NpyArray Open(const std::string& path);
  static NpyArray Open(std::shared_ptr<const RandomAccessFile> file);

  // One dimension is a single row.
  int64_t n_rows() const { return n_rows_; }
  int64_t dim() const { return dim_; }
  const std::string& path() const { return file_->path(); }
  // Row `row`. Requires: 0 <= row < n_rows(), out.size() == dim(). Throws Error(kIo).
  void ReadRow(int64_t row, std::span<float> out) const;

 private:
  std::shared_ptr<const RandomAccessFile> file_;
  uint64_t data_begin_ = 0;
  int64_t n_rows_ = 0, dim_ = 0;
};

}  // namespace moescope::files
