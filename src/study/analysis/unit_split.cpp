#include "study/analysis/unit_split.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace moescope::study {

std::vector<uint8_t> SplitUnits(const RowColumns& rows, int n_parts, uint64_t seed) {
  std::vector<uint8_t> part(rows.units.size());
  size_t turn = 0;
  for (const DatasetInfo& dataset : rows.datasets) {
    std::vector<std::pair<uint64_t, int32_t>> order;
    const uint64_t key = Combine(Combine(seed, 3), KeyOfName(dataset.name));
    for (int32_t unit : dataset.units) {
      order.emplace_back(Combine(key, KeyOfName(rows.units[unit].name)), unit);
    }
    std::sort(order.begin(), order.end());
    for (const auto& [hash, unit] : order) part[unit] = static_cast<uint8_t>(turn++ % n_parts);
  }
  return part;
}

}  // namespace moescope::study
