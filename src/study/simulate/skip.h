// Skipping the last expert of tokens that hardly weigh it: how much work that saves, from a run.
// Source: Lu et al., arXiv 2402.14800, section 3.3. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// A data set at a layer under one beta. Tokens: those that have both a first and a last choice.
struct SkipCell {
  std::string dataset;
  int layer = 0;
  bool is_auto = false;  // beta is the layer's median over all data sets
  double beta = 0;
  int64_t tokens = 0;
  int64_t dropped = 0;      // last weight < beta x first weight
  double share = 0;         // dropped of tokens; NaN without any
  double work_saved = 0;    // dropped of the data set's assignments
  double median_ratio = 0;  // of last to first weight, in this data set
  int64_t n_units = 0;
  std::optional<Interval> interval;  // of `share`, beta held as it is
  std::string why_no_interval;
};

// "auto", "0.5", "auto,0.25,0.5": nullopt stands for auto.
// Throws Error(kBadInput) for anything that is not a number from 0 to 1.
std::vector<std::optional<double>> ParseBetas(const std::string& text);

// Data set by data set, beta by beta.
//   weights  [n_rows, K] as stored; ratios need no normalisation
// Requires: K >= 2.
std::vector<SkipCell> ComputeSkipping(const RowColumns& rows, const LayerColumns& layer,
                                      std::span<const float> weights,
                                      const std::vector<std::optional<double>>& betas,
                                      const BootstrapOptions& bootstrap, ThreadPool& pool);

// Layers x the above. Throws Error(kBadInput) for a run with one expert a token or without weights.
std::vector<SkipCell> SkippingTable(const store::Run& run, store::Database& database,
                                    const RowColumns& rows, const std::vector<int>& layers,
                                    const std::vector<std::optional<double>>& betas,
                                    const BootstrapOptions& bootstrap, ThreadPool& pool);

}  // namespace moescope::study
