// Whole rows between storage types and float32, one plain loop each: the reference that kernels are
// tested against, and what `convert` writes with.
#pragma once

#include <cstddef>
#include <span>

#include "base/tensor/dtype.h"

namespace moescope {

// Exact: every stored value is a float32. Requires: `row` holds RowBytes(dtype, out.size()) bytes.
void DequantiseRow(DType dtype, const std::byte* row, std::span<float> out);
// Rounds to nearest (ties to even; Q8_0: scale = max |x| / 127 rounded to binary16, values rounded
// half away from zero, as ggml's quantize_row_q8_0_ref does).
// Requires: in.size() is a multiple of the block; `row` has room for RowBytes(dtype, in.size()).
void QuantiseRow(DType dtype, std::span<const float> in, std::byte* row);

}  // namespace moescope
