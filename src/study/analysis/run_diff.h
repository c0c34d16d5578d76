// Two runs of the same text: how many decisions differ, at which margins, and what it costs.
// Definitions: docs/analyses.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// 5th, 25th, 50th, 75th and 95th percentile; NaN without values.
inline constexpr std::array<double, 5> kMarginQuantiles = {0.05, 0.25, 0.5, 0.75, 0.95};
using MarginQuantiles = std::array<double, kMarginQuantiles.size()>;

// Decisions of one data set, or of all, at one layer. Shares and means are fractions.
struct DiffCell {
  std::string dataset;  // "": all
  int layer = 0;
  int64_t decisions = 0;
  int64_t sets_changed = 0;
  int64_t first_changed = 0;
  double set_change = 0;
  double first_change = 0;
  double saturation = 0;  // mean of |S_A and S_B| / K: router saturation
  std::optional<Interval> set_change_interval, first_change_interval, saturation_interval;
  int64_t n_units = 0;
  std::string why_no_interval;
  // Margins of run A where the set changed and where it did not; rows without a margin left out.
  MarginQuantiles margin_changed, margin_kept;
  double largest_changed_margin = 0;  // above it no decision changed; NaN: none changed
  double kept_below = 0;              // share of decisions up to that margin that did not change
  // The expert whose share of assignments differs most; -1: none differs.
  int expert = -1;
  double share_a = 0, share_b = 0;
};

struct DiffShare {
  std::string dataset;  // "": all
  int layer = 0, expert = 0;
  double share_a = 0, share_b = 0;  // NaN in a run that has no such expert
};

// Losses of tokens that have one in both runs.
struct DiffLoss {
  std::string dataset;  // "": all
  int64_t predictions = 0;
  double loss_a = 0, loss_b = 0;
  double difference = 0;  // B - A
  std::optional<Interval> interval;
  int64_t n_units = 0;
  std::string why_no_interval;
};

struct RunDiff {
  std::string why_no_decisions;  // "": sets were compared; else only shares and losses were
  std::vector<DiffCell> cells;   // layer by layer: all, then each data set
  std::vector<DiffShare> shares;
  std::vector<DiffLoss> losses;  // all, then each data set; empty when a run has none
};

// A run opened for reading.
struct OpenRun {
  const store::Run& run;
  store::Database& database;
};

// `rows` are those of run A. `layers`: of run A; empty: all. One layer of each in memory at a time.
// Throws Error(kBadInput), naming the first difference, when the runs are not of the same text:
// the same token ids and special rows in the same documents. Where sequences begin may differ.
RunDiff DiffRuns(const OpenRun& a, const OpenRun& b, const RowColumns& rows,
                 const std::vector<int>& layers, const BootstrapOptions& bootstrap,
                 ThreadPool& pool);

}  // namespace moescope::study
