#include "study/analysis/unit_counts.h"

namespace moescope::study {

std::vector<int32_t> CountInclusions(const RowColumns& rows, const LayerColumns& layer) {
  const int n_experts = layer.n_experts, n_slots = layer.experts_per_token;
  std::vector<int32_t> counts(rows.units.size() * n_experts);
  for (const DocumentRange& document : rows.documents) {
    int32_t* unit = counts.data() + static_cast<size_t>(document.unit) * n_experts;
    const int16_t* experts = layer.experts.data() + document.first_row * n_slots;
    for (int64_t row = 0; row < document.n_rows; ++row, experts += n_slots) {
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] >= 0 && !RepeatsEarlierSlot(experts, slot)) ++unit[experts[slot]];
      }
    }
  }
  return counts;
}

std::vector<int64_t> CountRows(const RowColumns& rows) {
  std::vector<int64_t> counts(rows.units.size());
  for (const DocumentRange& document : rows.documents) counts[document.unit] += document.n_rows;
  return counts;
}

}  // namespace moescope::study
