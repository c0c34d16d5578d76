// Quantised blocks as whole numbers: a value is step * code, or step * code + offset, and the
// values of a part share their step and offset. For products that sum whole numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"

namespace moescope {

struct CodeInfo {
  int part = 0;             // values of a part, 16 or 32; 0: a type without codes (floats)
  int zero = 0;             // codes are at least -zero ...
  int largest = 0;          // ... and code + zero is at most this
  bool has_offset = false;  // of a type without, no offset is added, not even 0
};

// Requires nothing: types without codes have part 0.
constexpr CodeInfo CodesOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return {};
    case DType::kQ4_0:
      return {.part = 32, .zero = 8, .largest = 15};
    case DType::kQ4_1:
    case DType::kQ4_K:
      return {.part = 32, .zero = 0, .largest = 15, .has_offset = true};
    case DType::kQ5_0:
      return {.part = 32, .zero = 16, .largest = 31};
    case DType::kQ5_1:
    case DType::kQ5_K:
      return {.part = 32, .zero = 0, .largest = 31, .has_offset = true};
    case DType::kQ2_K:
      return {.part = 16, .zero = 0, .largest = 3, .has_offset = true};
    case DType::kQ3_K:
      return {.part = 16, .zero = 4, .largest = 7};
    case DType::kQ6_K:
      return {.part = 16, .zero = 32, .largest = 63};
    case DType::kMXFP4:
      return {.part = 32, .zero = 12, .largest = 24};
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return {.part = 32, .zero = 128, .largest = 255};
  }
  return {};
}

struct BlockCodes {
  int8_t* codes;   // [n]
  float* steps;    // [n / part]
  float* offsets;  // [n / part]; untouched where the type has none
};

// Of n stored elements, at any address; steps and offsets rounded as DequantiseBlocks rounds them.
// Requires: CodesOf(dtype).part > 0, n a multiple of the block.
void UnpackBlocks(DType dtype, const std::byte* row, size_t n, const BlockCodes& out);

}  // namespace moescope
