#include "study/analysis/unit_halves.h"

#include "study/analysis/unit_split.h"

namespace moescope::study {

Halves SplitInHalves(const RowColumns& rows, uint64_t seed) {
  return {SplitUnits(rows, 2, seed), rows.units.size() > 1};
}

DatasetHalves HalvesOf(const Halves& halves, const DatasetInfo& dataset) {
  return {halves, dataset.units.size() > 1};
}

std::vector<int32_t> DatasetHalves::MeasuredUnits(const DatasetInfo& dataset) const {
  std::vector<int32_t> units;
  for (int32_t unit : dataset.units) {
    if (Measures(unit)) units.push_back(unit);
  }
  return units;
}

}  // namespace moescope::study
