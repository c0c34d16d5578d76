// The rows of a run cut into batches, and what one batch asks of experts and GPUs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "study/analysis/route_columns.h"
#include "study/simulate/placement.h"

namespace moescope::study {

// As many whole batches as the rows give; the rest is left out.
struct Batches {
  std::span<const int64_t> rows;
  BatchKind kind = BatchKind::kPrefill;
  int64_t batch = 0;  // tokens

  int64_t count() const { return static_cast<int64_t>(rows.size()) / batch; }
  // The j-th row of a batch. Decode: the rows are cut into as many streams as a batch has rows, and
  // a batch takes the next row of each. Both kinds hold the same rows.
  int64_t Row(int64_t index, int64_t j) const {
    const int64_t at = kind == BatchKind::kPrefill ? index * batch + j : j * count() + index;
    return rows[static_cast<size_t>(at)];
  }
};

// Sums over batches under one placement.
struct LoadSums {
  std::vector<double> imbalances;  // of each batch with assignments
  int64_t assignments = 0, leave_gpu = 0, leave_node = 0;
};

// Busiest of the `n_experts` over their mean, batch by batch.
LoadSums ExpertLoads(const LayerColumns& layer, const Batches& batches);
// Busiest GPU over the mean. Copies of an expert take turns; the tokens of a batch are spread over
// GPUs evenly and in order.
LoadSums GpuLoads(const LayerColumns& layer, const Batches& batches, std::span<const int> placement,
                  const Cluster& cluster);

// Assignments refused, over all batches. A batch's capacity is `factor` times the mean load of an
// expert, rounded up. Rerouted, row by row: to the least loaded expert so far that has room and
// that the row does not have, of equals the lowest.
struct RefusedSums {
  int64_t assignments = 0, dropped = 0, rerouted = 0, lost = 0;
};
RefusedSums RefusedByCapacity(const LayerColumns& layer, const Batches& batches, double factor);

}  // namespace moescope::study
