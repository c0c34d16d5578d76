// Element types of stored tensors: sizes by table, and exact conversion of single values.
// A new quantised type is a row of the table, a block in quant_blocks.h and a kernel.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace moescope {

enum class DType : uint8_t { kF32, kF16, kBF16, kQ8_0 };

struct DTypeInfo {
  std::string_view name;  // as in GGUF tools: "F32", "Q8_0"
  int block_elements;     // elements that share one block along the last dimension
  int block_bytes;
};
const DTypeInfo& Info(DType dtype);
inline std::string_view Name(DType dtype) {
  return Info(dtype).name;
}

// Bytes of `n` consecutive elements of a row; nullopt when n is not a multiple of the block or the
// product overflows.
std::optional<uint64_t> RowBytes(DType dtype, uint64_t n);

inline float BF16ToF32(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}
// IEEE 754 binary16, subnormals included.
float F16ToF32(uint16_t bits);
// Round to nearest, ties to even; NaN stays NaN.
uint16_t F32ToBF16(float value);
uint16_t F32ToF16(float value);

}  // namespace moescope
