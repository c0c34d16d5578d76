#include "lab/arithmetic_limit.h"

namespace moescope::lab {

std::string_view ArithmeticLimit(engine::Precision precision, engine::Phase phase, DType weights) {
  switch (RoundingOf(precision, phase, engine::SelectKernels(), weights)) {
    case engine::Rounding::kNone:
      return "fp32";
    case engine::Rounding::kWholeNumbers:
      return "int8";
    case engine::Rounding::kBFloat16:
      return "amx";
  }
  return "";
}

double GflopsAt(std::string_view limit, DType weights, const engine::MachineLimits& machine) {
  if (limit == "int8") return machine.Int8Gops(weights);
  return limit == "amx" ? machine.amx_gflops : machine.fp32_gflops;
}

}  // namespace moescope::lab
