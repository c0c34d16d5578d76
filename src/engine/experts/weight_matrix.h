// A stored matrix wherever it lies.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"

namespace moescope::engine {

// [rows, cols], row-major, rows of RowBytes(dtype, cols) bytes. `data` may have any alignment: a
// file decides it.
struct WeightMatrix {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  uint64_t n_bytes = 0;
};

}  // namespace moescope::engine
