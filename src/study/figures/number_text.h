// Numbers as terminals show them: "-" for what could not be computed.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>

#include "study/analysis/bootstrap.h"

namespace moescope::study {

inline std::string RealText(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  const double unit = std::pow(10.0, digits);
  const double rounded = std::round(value * unit) / unit;
  return fmt::format("{:.{}f}", rounded == 0 ? 0.0 : value, digits);  // no "-0.0"
}
inline std::string IntervalText(const std::optional<Interval>& interval, int digits) {
  return interval ? RealText(interval->low, digits) + "-" + RealText(interval->high, digits) : "-";
}
// Three digits, and four where it is small: permutation p-values reach 1 / 10,000.
inline std::string ProbabilityText(double p) {
  return p < 0.00005 ? "<0.0001" : RealText(p, p < 0.01 ? 4 : 3);
}

}  // namespace moescope::study
