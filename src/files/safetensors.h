// One safetensors file: its table of tensors, checked, and their values on request.
// Source: the format section of the safetensors README (header length, JSON header, data).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform/file.h"

namespace moescope::files {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;           // as in the file: "F32", "BF16", "I32", "U8", ...
  std::vector<int64_t> shape;  // row-major, outermost first; empty for a scalar
  uint64_t offset = 0;         // from the start of the file; any alignment
  uint64_t n_bytes = 0;
};

// Immutable and thread-safe.
class SafetensorsFile {
 public:
  // Reads and checks the header: at most 100 MB and within the file, at most 65,536 tensors, no
  // duplicate names, shape x dtype = bytes for each, and the tensors together cover the data
  // without gaps or overlaps. Throws Error(kCorrupt) naming path, offset or tensor; kUnsupported
  // for an unknown dtype.
  explicit SafetensorsFile(std::shared_ptr<const RandomAccessFile> file);
  // The same for a path. Throws also Error(kNotFound), Error(kIo).
  static SafetensorsFile Open(const std::string& path);

  // In the order of their bytes.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  // Null if absent.
  const SafetensorsTensor* Find(std::string_view name) const;
  // Length word and JSON header: where the data begins.
  uint64_t header_bytes() const { return header_bytes_; }
  const RandomAccessFile& file() const { return *file_; }

  // All values of a tensor, row-major. Floats from F32, F16, BF16; integers from U8, I8, I16, I32,
  // I64, BOOL. Throws Error(kNotFound) for an unknown name, kUnsupported for another dtype.
  std::vector<float> ReadFloats(std::string_view name) const;
  std::vector<int64_t> ReadInts(std::string_view name) const;

 private:
  std::vector<std::byte> ReadBytes(const SafetensorsTensor& tensor) const;
  const SafetensorsTensor& Get(std::string_view name) const;

  std::shared_ptr<const RandomAccessFile> file_;
  uint64_t header_bytes_ = 0;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<size_t> by_name_;  // indices into tensors_, sorted by name
};

}  // namespace moescope::files
