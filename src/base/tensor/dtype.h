// Element types of stored tensors: sizes by table, and exact conversion of single values.
// A new quantised type: docs/adding-a-quant-type.md.
#pragma once

#include <bit>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace moescope {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  // Read, not written.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
};

struct DTypeInfo {
  std::string_view name;  // as in GGUF tools: "F32", "Q8_0"
  int block_elements;     // elements that share one block along the last dimension
  int block_bytes;
};
// In the order of the enumeration.
inline constexpr DTypeInfo kDTypes[] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},       {"Q8_0", 32, 34},
    {"Q4_0", 32, 18},   {"Q4_1", 32, 20},   {"Q5_0", 32, 22},     {"Q5_1", 32, 24},
    {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},   {"Q5_K", 256, 176},
    {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136}, {"MXFP4", 32, 17},
};
inline constexpr int kNDTypes = static_cast<int>(std::size(kDTypes));

constexpr const DTypeInfo& Info(DType dtype) {
  return kDTypes[static_cast<int>(dtype)];
}
inline std::string_view Name(DType dtype) {
  return Info(dtype).name;
}
// The type of that name; nullopt when none has it.
constexpr std::optional<DType> FindDType(std::string_view name) {
  for (int i = 0; i < kNDTypes; ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
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
