// Repetition between tokens `lag` apart, with four nulls and unit bootstrap.
// Source: Mixtral of Experts, arXiv 2401.04088, Table 5. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

inline constexpr int kMaxLag = 64;

struct RepetitionOptions {
  int lag = 1;                    // 1..kMaxLag
  bool differing_tokens = false;  // only pairs whose two tokens differ; nulls recomputed on them
  bool nulls = true;
  BootstrapOptions bootstrap;
};

// Both statistics under one null; NaN where it cannot be computed.
struct NullRepetition {
  double first_repeat = 0;
  double any_overlap = 0;
};

// One cell of Table 5: a data set at a layer. Shares are fractions.
struct RepetitionCell {
  std::string dataset;
  int layer = 0;
  int lag = 1;
  int64_t n_units = 0;
  int64_t pairs = 0;          // (i, i + lag), one sequence, both plain
  int64_t first_repeats = 0;  // pairs whose first choices are equal
  int64_t any_overlaps = 0;   // pairs whose chosen sets meet
  double first_repeat = 0;
  double any_overlap = 0;
  NullRepetition uniform;        // every set of K experts equally likely
  NullRepetition marginal;       // two different rows of the data set
  NullRepetition shuffle;        // rows permuted within their sequence
  NullRepetition token;          // each decision from another document's occurrence of its token
  double token_coverage = 0;     // share of pairs the token null is computed on
  NullRepetition token_covered;  // observed, on those pairs
  std::optional<Interval> first_repeat_interval;
  std::optional<Interval> any_overlap_interval;
  std::string why_no_interval;
};

// One cell per data set, in the order of rows.datasets. Exact unless a set table is too large (see
// docs/analyses.md), then seeded Monte Carlo; the same for any number of threads.
// Throws Error(kBadInput) for a lag out of range.
std::vector<RepetitionCell> ComputeRepetition(const RowColumns& rows, const LayerColumns& layer,
                                              const RepetitionOptions& options, ThreadPool& pool);

// The same at several lags in one pass: data set by data set, lag by lag. options.lag is not read.
std::vector<RepetitionCell> ComputeRepetitionAtLags(const RowColumns& rows,
                                                    const LayerColumns& layer,
                                                    const std::vector<int>& lags,
                                                    const RepetitionOptions& options,
                                                    ThreadPool& pool);

// "1,2,8-16": increasing, each once. Throws Error(kBadInput) naming the text.
std::vector<int> ParseLags(const std::string& text);

// The table of a run: data sets x layers, read layer by layer.
std::vector<RepetitionCell> RepetitionTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const RepetitionOptions& options, ThreadPool& pool);
// Data sets x layers x lags; each layer is read once.
std::vector<RepetitionCell> RepetitionLagTable(const store::Run& run, store::Database& database,
                                               const RowColumns& rows,
                                               const std::vector<int>& layers,
                                               const std::vector<int>& lags,
                                               const RepetitionOptions& options, ThreadPool& pool);

}  // namespace moescope::study
