// Values to cells of a FigureTable: JSON and CSV have no NaN, so what could not be computed is
// null.
#pragma once

#include <cmath>
#include <optional>
#include <string>

#include "study/analysis/bootstrap.h"
#include "study/figures/figure_table.h"

namespace moescope::study {

inline Cell Number(double value) {
  return std::isfinite(value) ? Cell(value) : Cell();
}
inline Cell Low(const std::optional<Interval>& interval) {
  return interval ? Number(interval->low) : Cell();
}
inline Cell High(const std::optional<Interval>& interval) {
  return interval ? Number(interval->high) : Cell();
}
inline Cell TextOrNull(const std::string& text) {
  return text.empty() ? Cell() : Cell(text);
}

}  // namespace moescope::study
