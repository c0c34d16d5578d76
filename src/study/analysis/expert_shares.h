// How often each expert is chosen, by data set, layer and choice.
// Source: Mixtral of Experts, arXiv 2401.04088, figures 7 and 9. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// What a share under "either" is a share of: assignments (bars of a data set sum to 1, even line
// at 1/E) or tokens (they sum to K, even line at K/E).
enum class ShareConvention { kAssignments, kTokens };

struct SharesOptions {
  ShareConvention convention = ShareConvention::kAssignments;
  bool by_choice = false;  // also first, second, ... (figure 9)
  BootstrapOptions bootstrap;
};

inline constexpr int kEitherChoice = -1;

struct ExpertShare {
  std::string dataset;
  int layer = 0;
  int expert = 0;
  int choice = kEitherChoice;  // or the slot: 0 is the first choice
  int64_t count = 0;
  int64_t rows = 0;  // plain rows of the data set
  double share = 0;
  double even_share = 0;  // the dashed line
  int64_t n_units = 0;
  std::optional<Interval> interval;
  std::string why_no_interval;
};

// "either", "first", "second", "third", "fourth", then "choice 5", ...
std::string ChoiceName(int choice);

// Data set by data set, choice by choice, expert by expert.
std::vector<ExpertShare> ComputeExpertShares(const RowColumns& rows, const LayerColumns& layer,
                                             const SharesOptions& options, ThreadPool& pool);

// Layers x the above.
std::vector<ExpertShare> ExpertShareTable(const store::Run& run, store::Database& database,
                                          const RowColumns& rows, const std::vector<int>& layers,
                                          const SharesOptions& options, ThreadPool& pool);

}  // namespace moescope::study
