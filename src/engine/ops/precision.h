// How products with weights are computed (docs/numerics.md).
#pragma once

#include <string_view>

#include "base/tensor/dtype.h"

namespace moescope::engine {

enum class Precision {
  kExact,  // float32 activations, weights dequantised exactly
  kFast,   // activations rounded to whole numbers where the weights are; else as exact
};

std::string_view Name(Precision precision);  // "exact", "fast"
// Throws Error(kBadInput) for another name.
Precision ParsePrecision(std::string_view name);
// Whether `fast` differs from `exact` in products with weights of this type.
bool RoundsActivations(Precision precision, DType weights);

}  // namespace moescope::engine
