// One GGUF file: metadata and table of tensors, checked; arrays are read on request.
// Source: the GGUF specification (ggml/docs/gguf.md), versions 2 and 3, little-endian.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/platform/file.h"
#include "base/tensor/dtype.h"

namespace moescope::files {

// Value types of the metadata, numbered as in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// An array stays in the file until it is asked for.
struct GgufArray {
  GgufType type = GgufType::kU8;
  uint64_t count = 0;
  uint64_t offset = 0;  // of the first element, from the start of the file
};

// Signed and unsigned integers of all widths arrive as the first two.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, GgufArray>;

// Storage types of tensors, by their number in the file; the table knows more types than we run, so
// that extents can be checked and messages can name them.
struct GgufTensorType {
  uint32_t number;
  std::string_view name;
  uint64_t block_elements;
  uint64_t block_bytes;
  std::optional<DType> dtype;  // nullopt: known but not supported
};
// Null for a number that no type has.
const GgufTensorType* FindGgufTensorType(uint32_t number);
const GgufTensorType& GgufTypeOf(DType dtype);
// Names of the supported types, for messages: "F32, F16, Q4_0, ...".
std::string ReadableGgufTypes();

struct GgufTensor {
  std::string name;
  const GgufTensorType* type = nullptr;
  std::vector<int64_t> shape;  // row-major, outermost first: reversed from the file
  uint64_t offset = 0;         // from the start of the file
  uint64_t n_bytes = 0;
};

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint64_t kGgufDefaultAlignment = 32;

// Immutable and thread-safe.
class GgufFile {
 public:
  // Reads and checks everything but the arrays' content: limits.h, no duplicate keys or names,
  // every tensor aligned, in order of its bytes without gaps or overlaps, and inside the file.
  // Throws Error(kCorrupt) with path and offset, kUnsupported for big-endian files and version 1.
  explicit GgufFile(std::shared_ptr<const RandomAccessFile> file);

  // Null if absent.
  const GgufValue* Find(std::string_view key) const;
  // As listed in the file.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  // Where the tensors begin.
  uint64_t header_bytes() const { return header_bytes_; }
  const std::string& path() const { return file_->path(); }

  // Requires: an array of strings of this file. Throws Error(kCorrupt) beyond `limit_bytes` of
  // text.
  std::vector<std::string> ReadStrings(const GgufArray& array, uint64_t limit_bytes) const;
  // Elements of float32 and int32 (or uint32) arrays. Requires: the array has 4-byte elements.
  std::vector<float> ReadF32s(const GgufArray& array) const;
  std::vector<int32_t> ReadI32s(const GgufArray& array) const;

 private:
  void CheckExtents();

  std::shared_ptr<const RandomAccessFile> file_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  uint64_t alignment_ = kGgufDefaultAlignment;
  uint64_t header_bytes_ = 0;
};

}  // namespace moescope::files
