// Whole rows between storage types and float32, by plain loops: the reference that kernels are
// tested against, and what `convert` reads and writes with.
#pragma once

#include <cstddef>
#include <span>

#include "base/tensor/dtype.h"

namespace moescope {

// Exact: every stored value is a float32. Requires: `row` holds RowBytes(dtype, out.size()) bytes.
void DequantiseRow(DType dtype, const std::byte* row, std::span<float> out);
// F32, F16, BF16 and Q8_0; the other types are only read.
constexpr bool IsWritable(DType dtype) {
  return dtype <= DType::kQ8_0;
}
// Rounds to nearest (ties to even; Q8_0: scale = max |x| / 127 rounded to binary16, values rounded
// half away from zero, as ggml's quantize_row_q8_0_ref does).
// Requires: IsWritable(dtype); in.size() is a multiple of the block; `row` has room for
// RowBytes(dtype, in.size()).
void QuantiseRow(DType dtype, std::span<const float> in, std::byte* row);

}  // namespace moescope
