// How products with weights are computed (docs/numerics.md).
#pragma once

#include <string_view>

#include "base/tensor/dtype.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

enum class Precision {
  kExact,  // float32 activations, weights dequantised exactly
  kFast,   // activations rounded, and at a level with tiles weights too; else as exact
};

std::string_view Name(Precision precision);  // "exact", "fast"
// Throws Error(kBadInput) for another name.
Precision ParsePrecision(std::string_view name);

// What rows are run for. It decides how `fast` rounds at a level with tiles; how many rows there
// are never does.
enum class Phase {
  kPrefill,  // text that is there already: sweeps and prompts
  kDecode,   // tokens sampled one after another
};

enum class Rounding {
  kNone,          // as exact
  kWholeNumbers,  // activations to 8 bits; weights as they are stored
  kBFloat16,      // activations and weights
};
// Of products with weights of a type.
Rounding RoundingOf(Precision precision, Phase phase, const KernelTable& kernels, DType weights);

}  // namespace moescope::engine
