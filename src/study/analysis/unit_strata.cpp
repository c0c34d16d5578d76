#include "study/analysis/unit_strata.h"

namespace moescope::study {

UnitStrata StratifyUnits(const RowColumns& rows, const std::vector<uint8_t>& is_used) {
  UnitStrata result;
  result.place.assign(rows.units.size(), -1);
  std::vector<int32_t> alone;
  for (const DatasetInfo& dataset : rows.datasets) {
    std::vector<int32_t> used;
    for (int32_t unit : dataset.units) {
      if (is_used[unit]) used.push_back(unit);
    }
    if (used.size() == 1) alone.push_back(used[0]);
    if (used.size() < 2) continue;
    for (int32_t unit : used) result.place[unit] = result.n_units++;
    result.strata.push_back(static_cast<int64_t>(used.size()));
  }
  for (int32_t unit : alone) result.place[unit] = result.n_units++;
  if (!alone.empty()) result.strata.push_back(static_cast<int64_t>(alone.size()));
  return result;
}

}  // namespace moescope::study
