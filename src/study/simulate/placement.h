// Experts spread over GPUs on a stored run: how uneven batches make their load, what a capacity
// would refuse, what has to travel. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/route_columns.h"
#include "study/simulate/expert_placement.h"

namespace moescope::study {

// Consecutive rows, as a prompt is read; or one row from each of many places, as answers are
// written.
enum class BatchKind { kPrefill, kDecode };
const char* NameOf(BatchKind kind);

struct PlacementOptions {
  Cluster cluster;
  int batch = 256;                                     // tokens
  std::vector<double> capacities = {1, 1.25, 1.5, 2};  // factors
  int n_random = 10;                                   // random placements
  int dataset = -1;                                    // into RowColumns::datasets; -1: all
  uint64_t seed = 1;
};

// Over batches, observed or of the shuffled trace.
struct LoadSummary {
  double mean = 0;  // of the imbalance: busiest over mean load
  double p95 = 0;
  double max = 0;
  std::vector<double> over;  // [capacities] share of batches with a larger imbalance
  double leaves_gpu = 0;     // assignments whose expert is on another GPU than the token
  double leaves_node = 0;
};

// One placement at a layer under batches of one kind.
struct PlacementCell {
  int layer = 0;
  BatchKind kind = BatchKind::kPrefill;
  std::string placement;  // "experts": the load of single experts, without GPUs; else "eplb", ...
  int n_placements = 1;   // over which the numbers are means
  int64_t n_batches = 0;
  LoadSummary observed, shuffled;
  double lowest_mean = 0, highest_mean = 0;  // of the observed mean, over the placements
};

// What experts of limited capacity refuse, as shares of assignments.
struct Refused {
  double dropped = 0;   // beyond the capacity of their expert
  double rerouted = 0;  // would go to another expert with room, where that is done instead
  double lost = 0;      // of those, for which no expert has room
};

struct CapacityCell {
  int layer = 0;
  BatchKind kind = BatchKind::kPrefill;
  double capacity = 0;
  Refused observed, shuffled;
};

struct PlannedLayer {
  int layer = 0;
  std::vector<int> eplb;  // places of experts for the load of the whole run
  double imbalance = 0;   // of that load
};

struct PlacementResult {
  std::vector<PlacementCell> cells;
  std::vector<CapacityCell> capacities;
  std::vector<PlannedLayer> planned;
  bool is_split = false;  // placements were made for one half of the units, measured on the other
};

// Appends one layer. The same for any number of threads.
// Throws Error(kBadInput) for a cluster that does not fit, or too few rows for a batch.
void SimulatePlacement(const RowColumns& rows, const LayerColumns& layer,
                       const PlacementOptions& options, ThreadPool& pool, PlacementResult& result);

// "1,1.25". Throws Error(kBadInput) for anything but numbers from 1 to 1000.
std::vector<double> ParseCapacities(const std::string& text);

}  // namespace moescope::study
