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

Rounding RoundingOf(Precision precision, Phase phase, const KernelTable& kernels, DType weights) {
  if (precision == Precision::kExact) return Rounding::kNone;
  if (phase == Phase::kPrefill && kernels.tiles != nullptr) return Rounding::kBFloat16;
  return CodesOf(weights).part > 0 ? Rounding::kWholeNumbers : Rounding::kNone;
}

}  // namespace moescope::engine
