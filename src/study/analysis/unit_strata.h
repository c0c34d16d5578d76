// Units over several data sets, in the order in which they are resampled.
#pragma once

#include <cstdint>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// What BootstrapStratifiedRatios takes: each data set resamples its own units, except that data
// sets of a single unit are resampled together, since alone they would seem to have no variance.
struct UnitStrata {
  std::vector<int32_t> place;   // [units of the run] where its sums stand; -1: left out
  std::vector<int64_t> strata;  // units of each stratum
  int32_t n_units = 0;
};

// `is_used`: [units of the run] whether a unit takes part.
UnitStrata StratifyUnits(const RowColumns& rows, const std::vector<uint8_t>& is_used);

}  // namespace moescope::study
