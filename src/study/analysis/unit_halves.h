// Units split in two halves: one chooses what to look at, the other says how large it is, since
// what was chosen for being large need not be large elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Which half a unit is in. Units alternate in a random order within each data set, so that both
// halves hold every data set of two or more.
struct Halves {
  std::vector<uint8_t> measured;  // [units of the run] 0: searched
  bool is_split = false;          // false: a single unit, searched and measured alike
  bool Searches(int32_t unit) const { return !is_split || measured[unit] == 0; }
  bool Measures(int32_t unit) const { return !is_split || measured[unit] != 0; }
};

Halves SplitInHalves(const RowColumns& rows, uint64_t seed);

// The same for one data set looked at by itself: with a single unit it is searched and measured
// alike.
struct DatasetHalves {
  const Halves& halves;
  bool is_split = false;
  bool Searches(int32_t unit) const { return !is_split || halves.Searches(unit); }
  bool Measures(int32_t unit) const { return !is_split || halves.Measures(unit); }
  // Units that are measured, in the order of the data set.
  std::vector<int32_t> MeasuredUnits(const DatasetInfo& dataset) const;
};

DatasetHalves HalvesOf(const Halves& halves, const DatasetInfo& dataset);

}  // namespace moescope::study
