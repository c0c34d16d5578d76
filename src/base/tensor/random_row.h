// Stored rows for tests and benchmarks: any bits of any type, so that every code and scale occurs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/tensor/dtype.h"

namespace moescope {

// `n` stored elements of random bytes, drawn again where a value is not finite. The same for the
// same seed. Requires: n is a multiple of the block.
std::vector<std::byte> RandomRow(DType dtype, uint64_t n, uint32_t seed);

}  // namespace moescope
