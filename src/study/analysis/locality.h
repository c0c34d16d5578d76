// What locality of routing is worth to a cache and costs in balance, for one layer.
// Source: routing of neighbours as in arXiv 2312.17238; ESFT, arXiv 2407.01906.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Per data set; shares are fractions.
struct LocalityCell {
  std::string dataset;
  int layer = 0;
  int64_t pairs = 0;         // consecutive plain rows of one sequence
  double overlap_share = 0;  // mean of |S(i) and S(i+1)| / K over the pairs
  double max_load = 0;       // load of the busiest expert / mean load
  std::vector<int> cache_sizes;
  std::vector<double> lru_hit;  // of each cache size
};

// Least-recently-used cache of `size` experts, state carried over sequences: a row's experts are
// looked up in the cache as the row finds it, then touched in choice order, then the cache is
// trimmed.
std::vector<LocalityCell> ComputeLocality(const RowColumns& rows, const LayerColumns& layer,
                                          const std::vector<int>& cache_sizes);

}  // namespace moescope::study
