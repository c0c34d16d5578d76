// Which of a machine's limits bounds products of many rows.
#pragma once

#include <string_view>

#include "base/tensor/dtype.h"
#include "engine/kernels/machine_limits.h"
#include "engine/ops/precision.h"

namespace moescope::lab {

// Of products with weights of a type, by the kernels that SelectKernels() chooses: "fp32", "int8",
// "amx".
std::string_view ArithmeticLimit(engine::Precision precision, engine::Phase phase, DType weights);
// What the machine does at that limit, in 10^9 operations per second.
double GflopsAt(std::string_view limit, DType weights, const engine::MachineLimits& machine);

}  // namespace moescope::lab
