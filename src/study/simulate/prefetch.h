// Fetching the next layer's experts ahead, from what this layer chose: how many of those needed
// come, and what that adds to a cache. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

struct PrefetchOptions {
  int n_prefetched = 0;    // experts fetched for each row; at least 1, at most E
  std::vector<int> sizes;  // of the LRU cache beside it
  uint64_t seed = 1;       // of the halves
};

// One data set, one size of cache. Shares of lookups at `layer`; NaN where nothing could be
// learned.
struct PrefetchCell {
  std::string dataset;
  int from_layer = 0;
  int layer = 0;
  int size = 0;
  int n_prefetched = 0;
  int64_t lookups = 0;
  double recall = 0;          // needed experts that were prefetched
  double recall_popular = 0;  // the same if the most used experts are prefetched for every row
  double lru_hit = 0;
  double hit = 0;  // in the cache or prefetched
  double hit_popular = 0;
};

// For each first choice at `from`, the experts that `to` chose most often with it, counted on the
// other half of all units. Prefetched experts wait beside the cache and do not change it.
// Data set by data set, size by size. Nothing is learned where the run has a single unit.
// Requires: both layers of the same rows.
std::vector<PrefetchCell> SimulatePrefetch(const RowColumns& rows, const LayerColumns& from,
                                           const LayerColumns& to, const PrefetchOptions& options);

}  // namespace moescope::study
