// What a token costs: bytes and arithmetic over experts per token and batch, from a run's routes
// and the sizes of a model, and the rate that a machine's limits allow. Definitions:
// docs/simulate.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"
#include "study/simulate/placement.h"

namespace moescope::study {

// One part of a model that is run from beginning to end before the next.
struct PartSize {
  double bytes = 0;          // of weights as stored
  double flops_per_row = 0;  // multiplications and additions
};

// Layers are alike but for rounding: sums are over all of them, an expert is the mean one.
struct ModelSize {
  int n_layers = 0, n_experts = 0;
  PartSize layers;      // all that is no expert's: attention, norms, routers
  PartSize one_expert;  // of one layer
  PartSize head;
  double kv_bytes_per_position = 0;  // keys and values, all layers
  double score_flops_per_position = 0;
};

// What a machine does, and how much of it the engine was seen to reach; 1: all of it.
struct MachineRates {
  double dram_gb_per_s = 0;  // 10^9 bytes
  double gflops = 0;         // 10^9 operations of the kernels in question
  double dram_share = 1, flops_share = 1;
};

struct CostOptions {
  std::vector<int> experts_per_token;  // at most the run's
  std::vector<int> batches;            // rows of a step
  int context = 64;                    // positions that a row looks at
};

enum class CostRouting { kObserved, kUniform, kDense };
const char* NameOf(CostRouting routing);

struct CostCell {
  BatchKind kind = BatchKind::kDecode;
  CostRouting routing = CostRouting::kObserved;
  int experts_per_token = 0, batch = 0;
  int64_t n_batches = 0;       // observed
  double distinct = 0;         // experts that a layer reads in a step, mean over layers and batches
  double bytes_per_token = 0;  // weights, keys and values read, a token's share of a step
  double flops_per_token = 0;
  double bound = 0;      // tokens/s at the machine's limits
  double predicted = 0;  // at the shares that were reached
  std::string limit;     // what takes most of a step: "dram" or "arithmetic"
};

// Mean number of different experts in a batch of each size, first choices up to each number, of one
// layer: [experts_per_token, batches]. NaN where the rows give no whole batch.
std::vector<double> DistinctExperts(const RowColumns& rows, const LayerColumns& layer,
                                    BatchKind kind, const CostOptions& options);
// The same under uniform routing: E (1 - (1 - K/E)^B).
double UniformDistinct(int n_experts, int experts_per_token, int batch);

// Both kinds of batch, experts per token and batches as in the options, each observed, uniform and
// dense: a model that has K experts' parameters in one network, as many as are active.
//   layers  of the run, all or some
// Throws Error(kBadInput) for more experts a token than the run has, and batches beyond its rows.
std::vector<CostCell> PredictCosts(const RowColumns& rows, const std::vector<LayerColumns>& layers,
                                   const ModelSize& model, const MachineRates& machine,
                                   const CostOptions& options);

// "1-4" or "1,2,8", each from 1 to `most`, increasing. Throws Error(kBadInput) naming `option`.
std::vector<int> ParseCounts(const std::string& text, int most, const std::string& option);

}  // namespace moescope::study
