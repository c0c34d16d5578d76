// Units dealt into parts of about equal size, so that what is chosen or fitted on one is measured
// on another.
#pragma once

#include <cstdint>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// The part of each unit, 0..n_parts-1. Within each data set units are dealt in turn in a random
// order that depends on the seed and their names only; the turn goes on from data set to data set.
std::vector<uint8_t> SplitUnits(const RowColumns& rows, int n_parts, uint64_t seed);

}  // namespace moescope::study
