#include "engine/ops/precision.h"

#include <string>

#include "base/error.h"
#include "base/tensor/block_codes.h"

namespace moescope::engine {

std::string_view Name(Precision precision) {
  return precision == Precision::kExact ? "exact" : "fast";
}

Precision ParsePrecision(std::string_view name) {
  for (Precision precision : {Precision::kExact, Precision::kFast}) {
    if (Name(precision) == name) return precision;
  }
  throw Error(ErrorKind::kBadInput,
              "--precision: expected exact or fast, found '" + std::string(name) + "'");
}

bool RoundsActivations(Precision precision, DType weights) {
  return precision == Precision::kFast && CodesOf(weights).part > 0;
}

}  // namespace moescope::engine
