// Rank correlation of what a criterion says with what was measured.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/ablation_table.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {

// Ranks from 1, equal values the mean of theirs.
std::vector<double> Ranks(std::span<const double> values);
// Spearman's: the correlation of ranks; NaN where either side is constant.
double RankCorrelation(std::span<const double> a, std::span<const double> b);

struct CriterionCorrelation {
  std::string criterion;
  double all = 0;            // over all cells
  double within_layers = 0;  // mean over layers of the correlation among the experts of one
  // Units resampled, so of the measured effect; the criteria are as given.
  std::optional<Interval> all_interval, within_interval;
};

struct Criterion {
  std::string name;
  std::vector<double> values;  // [n_cells], layer by layer
};

// Of each criterion with the effect of branch i on cell i, all data sets together.
// Requires: as many branches as cells, n_cells a multiple of n_layers.
std::vector<CriterionCorrelation> CorrelateCriteria(const std::vector<Criterion>& criteria,
                                                    const std::vector<AblationDataset>& datasets,
                                                    int n_cells, int n_layers,
                                                    const BootstrapOptions& options,
                                                    ThreadPool& pool);

}  // namespace moescope::study
