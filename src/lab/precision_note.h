// Which precision a model runs in, and what `fast` cannot change in it.
#pragma once

#include <string>

#include "engine/model/model.h"
#include "engine/ops/precision.h"

namespace moescope::lab {

// "exact", "fast", or "auto": fast where the experts' weights are stored quantised, else exact.
// Throws Error(kBadInput) for another name, and for "auto" as Checkpoint::Open.
engine::Precision ChoosePrecision(const std::string& name, const std::string& model);

// "weights of type F16 are not whole numbers: their products run as in exact precision", or "" when
// there is nothing to say: precision `exact`, or no such weights.
std::string PrecisionNote(const engine::Model& model, engine::Precision precision);
// The same, to stderr.
void PrintPrecisionNote(const engine::Model& model, engine::Precision precision);

}  // namespace moescope::lab
