// Quantised blocks as whole numbers: a value is step * code, or step * code + offset, and the
// values of a part share their step and offset. For products that sum whole numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"

namespace moescope {

struct CodeInfo {
  int part = 0;             // values of a part, 16 or 32; 0: a type without codes (floats)
  int zero = 0;             // codes are at least -zero ...
  int largest = 0;          // ... and code + zero is at most this
  bool has_offset = false;  // of a type without, no offset is added, not even 0
};

constexpr CodeInfo CodesOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return {};
#define MOESCOPE_CASE(type, part, zero, largest, has_offset) \
  case DType::k##type:                                       \
    return {part, zero, largest, has_offset};
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
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
