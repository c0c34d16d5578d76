#include "study/figures/display_numbers.h"

#include <fmt/format.h>

#include <cmath>

namespace moescope::study {

std::string DisplayPercent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}", 100 * share) : "-";
}

std::string DisplayPercentInterval(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.1f}-{:.1f}", 100 * interval->low, 100 * interval->high) : "-";
}

std::string DisplayReal(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-";
}

}  // namespace moescope::study
