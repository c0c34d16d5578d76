#include "study/analysis/locality.h"

#include <algorithm>
#include <cmath>

#include "study/analysis/row_pairs.h"

namespace moescope::study {
namespace {

// Hit ratios of all cache sizes at once: with LRU a lookup hits exactly when the expert's place in
// the order of last use, most recent first, is below the cache size.
std::vector<double> LruHits(const RowColumns& rows, const DatasetInfo& info,
                            const LayerColumns& layer, const std::vector<int>& cache_sizes) {
  std::vector<int16_t> order;                        // most recent first
  std::vector<int64_t> lookups_at(layer.n_experts);  // by place; lookups of unused experts: none
  int64_t n_lookups = 0;
  const int n_slots = layer.experts_per_token;
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int16_t* experts = layer.experts.data() + row * n_slots;
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] < 0) continue;
        ++n_lookups;
        const auto place = std::find(order.begin(), order.end(), experts[slot]);
        if (place != order.end()) ++lookups_at[place - order.begin()];
      }
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] < 0) continue;
        const auto place = std::find(order.begin(), order.end(), experts[slot]);
        if (place != order.end()) order.erase(place);
        order.insert(order.begin(), experts[slot]);
      }
    }
  }
  std::vector<double> hits;
  for (int size : cache_sizes) {
    int64_t n_hits = 0;
    for (int place = 0; place < std::min(size, layer.n_experts); ++place) {
      n_hits += lookups_at[place];
    }
    hits.push_back(n_lookups > 0 ? static_cast<double>(n_hits) / static_cast<double>(n_lookups)
                                 : std::nan(""));
  }
  return hits;
}

int CommonExperts(const int16_t* a, const int16_t* b, int n_slots) {
  int common = 0;
  for (int slot = 0; slot < n_slots; ++slot) {
    common += a[slot] >= 0 && std::find(b, b + n_slots, a[slot]) != b + n_slots;
  }
  return common;
}

}  // namespace

std::vector<LocalityCell> ComputeLocality(const RowColumns& rows, const LayerColumns& layer,
                                          const std::vector<int>& cache_sizes) {
  const int n_slots = layer.experts_per_token;
  std::vector<LocalityCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    LocalityCell& cell = cells.emplace_back();
    cell.dataset = info.name;
    cell.layer = layer.layer;
    int64_t common = 0, n_assignments = 0;
    std::vector<int64_t> load(layer.n_experts);
    for (int32_t d : info.documents) {
      const DocumentRange& document = rows.documents[d];
      for (int64_t s = 0; s < document.n_sequences; ++s) {
        ForEachPair(rows, rows.sequences[document.first_sequence + s], {},
                    [&](int64_t i, int64_t j) {
                      ++cell.pairs;
                      common += CommonExperts(layer.experts.data() + i * n_slots,
                                              layer.experts.data() + j * n_slots, n_slots);
                    });
      }
      for (int64_t at = document.first_row * n_slots;
           at < (document.first_row + document.n_rows) * n_slots; ++at) {
        if (layer.experts[at] < 0) continue;
        ++n_assignments;
        ++load[layer.experts[at]];
      }
    }
    cell.overlap_share =
        cell.pairs > 0 ? static_cast<double>(common) / static_cast<double>(cell.pairs) / n_slots
                       : std::nan("");
    const double mean = static_cast<double>(n_assignments) / layer.n_experts;
    cell.max_load = static_cast<double>(*std::max_element(load.begin(), load.end())) / mean;
    cell.cache_sizes = cache_sizes;
    cell.lru_hit = LruHits(rows, info, layer, cache_sizes);
  }
  return cells;
}

}  // namespace moescope::study
