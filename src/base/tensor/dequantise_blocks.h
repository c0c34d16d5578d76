// Rows of quantised blocks to float32: the definition of every stored type, one plain loop each.
#pragma once

#include <cstddef>
#include <span>

#include "base/tensor/dtype.h"

namespace moescope {

// Every product and sum is rounded by itself, in the order of ggml's reference, so the bits are
// the same. Requires: a type of blocks; `row` holds RowBytes(dtype, out.size()) bytes, at any
// address.
void DequantiseBlocks(DType dtype, const std::byte* row, std::span<float> out);

}  // namespace moescope
