// How often each unit's rows choose each expert of a layer.
#pragma once

#include <cstdint>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// [units of the run, n_experts] rows that chose the expert in any slot. No row chooses one twice,
// so this also counts assignments; where a forced route does, it counts once.
std::vector<int32_t> CountInclusions(const RowColumns& rows, const LayerColumns& layer);

// [units of the run] plain rows.
std::vector<int64_t> CountRows(const RowColumns& rows);

// Whether slot `slot` of a row repeats an earlier one.
inline bool RepeatsEarlierSlot(const int16_t* experts, int slot) {
  for (int earlier = 0; earlier < slot; ++earlier) {
    if (experts[earlier] == experts[slot]) return true;
  }
  return false;
}

}  // namespace moescope::study
