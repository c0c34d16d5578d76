// What `--precision fast` cannot change in a model.
#pragma once

#include <string>

#include "engine/model/model.h"
#include "engine/ops/precision.h"

namespace moescope::lab {

// "weights of type F16 are not whole numbers: their products run as in exact precision", or "" when
// there is nothing to say: precision `exact`, or no such weights.
std::string PrecisionNote(const engine::Model& model, engine::Precision precision);
// The same, to stderr.
void PrintPrecisionNote(const engine::Model& model, engine::Precision precision);

}  // namespace moescope::lab
