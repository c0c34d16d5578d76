// Token against domain: how much of a router's first choices the token, the previous token, the
// position and the data set explain, each alone and each beyond all others, on held-out units.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/predictors.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

inline constexpr int kMinHeldOutUnits = 4;  // two to fit on, of which one checks, and as many again

// A predictor at a layer: shares of CE(e), the cross-entropy of first choices without predictors.
// NaN where why_no_value says why.
struct ExplainedShare {
  int layer = 0;
  std::string predictor;  // or "all": all of them together
  int64_t n_values = 0;   // that the predictor takes; 0 for all
  double first = 0;       // 1 - CE(e | x) / CE(e)
  double last = 0;        // (CE(e | the others) - CE(e | all)) / CE(e); for all: as first
  std::optional<Interval> first_interval, last_interval;
  double first_null = 0;  // with x permuted
  double last_null = 0;
  double bits = 0;  // CE(e) a row
  int64_t n_rows = 0;
  int64_t n_units = 0;
  std::string why_no_value, why_no_interval;
};

// One layer; the predictors in order, then all. The same for any number of threads.
std::vector<ExplainedShare> ComputeExplained(const RowColumns& rows,
                                             const std::vector<Predictor>& predictors,
                                             const LayerColumns& layer,
                                             const BootstrapOptions& options, ThreadPool& pool);

// Layers x the above. Memory: 8 bytes a row and predictor, and per layer 56 bytes for each expert
// and different token id, four times.
std::vector<ExplainedShare> ExplainedTable(const store::Run& run, store::Database& database,
                                           const RowColumns& rows, const std::vector<int>& layers,
                                           const BootstrapOptions& options, ThreadPool& pool);

}  // namespace moescope::study
