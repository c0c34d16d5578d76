// What the loss becomes under interventions, by data set: from sums by unit to effects with
// intervals. Definitions: docs/interventions.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {

struct AblationDataset {
  std::string name, unit_by;
  int64_t n_units = 0;
  std::vector<int64_t> predictions;  // [n_units]
  std::vector<double> losses;        // [n_units, 1 + branches] sums in nats; the baseline first
};

struct AblationRow {
  int branch = 0;       // from 0
  std::string dataset;  // "": all together, each prediction counting alike
  int64_t n_units = 0, predictions = 0;
  double baseline_loss = 0, loss = 0;  // nats per prediction
  double effect = 0;                   // loss - baseline_loss
  std::optional<Interval> interval;    // of the effect
  std::string why_no_interval;
};

// Rows by branch: all together, then each data set. The effect is paired: a resample of units takes
// the losses of both from the same units, within each data set. All together has an interval where
// every data set has one.
std::vector<AblationRow> AblationTable(const std::vector<AblationDataset>& datasets, int n_branches,
                                       const BootstrapOptions& options, ThreadPool& pool);

}  // namespace moescope::study
