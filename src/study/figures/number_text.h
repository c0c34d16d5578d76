// Numbers as terminals show them: "-" for what could not be computed.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>

#include "study/analysis/bootstrap.h"

namespace moescope::study {

inline std::string RealText(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-";
}
inline std::string IntervalText(const std::optional<Interval>& interval, int digits) {
  return interval ? RealText(interval->low, digits) + "-" + RealText(interval->high, digits) : "-";
}
// Three digits, and four where it is small: permutation p-values reach 1 / 10,000.
inline std::string ProbabilityText(double p) {
  return p < 0.00005 ? "<0.0001" : RealText(p, p < 0.01 ? 4 : 3);
}

}  // namespace moescope::study
