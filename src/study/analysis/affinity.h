// Which experts a group of data sets (code) prefers over the others: odds ratio of inclusion per
// (layer, expert), tested by permuting units, controlled for tokens, replicated on halves.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"
#include "study/analysis/unit_arms.h"

namespace moescope::study {

struct AffinityOptions {
  std::string group_name = "code";
  std::vector<std::string> group;    // data sets; empty: those whose name says code (GroupRule)
  std::vector<std::string> against;  // empty: all others
  int64_t n_permutations = 9999;
  int64_t min_occurrences = 10;  // of a token id in each arm, to be part of the control
  BootstrapOptions bootstrap;
};

// An odds ratio and its interval, on the scale of ratios.
struct OddsEstimate {
  double odds_ratio = 0;
  std::optional<Interval> interval;
  // -1 or 1 if the interval lies on that side of 1, else 0.
  int side() const;
};

// One (layer, expert). NaN where the why_no_... of Affinity says why.
struct AffinityCell {
  int layer = 0;
  int expert = 0;
  double group_share = 0;  // of the group's tokens that choose the expert
  double rest_share = 0;
  OddsEstimate raw;             // 0.5 added to each cell
  double p = 0, p_max = 0;      // two-sided; max-T over all cells
  double smallest_shown = 0;    // odds ratio that would have been found with power 0.8
  OddsEstimate controlled;      // Mantel-Haenszel over token ids
  double controlled_p = 0;      // Holm over all cells
  double crude_on_covered = 0;  // raw odds ratio of the rows the control uses
  double controlled_log_error_rows = 0;
  OddsEstimate halves[2];   // disjoint halves of the units
  bool replicated = false;  // both intervals on the same side of 1
};

struct Affinity {
  std::string group_name;
  std::string rule;  // how the group was chosen, one sentence
  std::vector<std::string> group, against;
  int64_t group_units = 0, rest_units = 0;
  int64_t group_tokens = 0, rest_tokens = 0;
  int64_t n_permutations = 0;
  bool is_exact = false;
  double critical_value = 0;  // 95 % point of the largest |statistic|
  int64_t control_ids = 0;    // token ids of the control, and the share of tokens they cover
  double group_coverage = 0, rest_coverage = 0;
  std::string why_no_p, why_no_interval, why_no_control, why_no_replication;
  std::vector<AffinityCell> cells;
};

// Arms by name. Throws Error(kNotFound) for a data set the run does not have or when no name says
// code, kBadInput when a data set is on both sides or either side is empty.
std::vector<Arm> ResolveArms(const RowColumns& rows, const AffinityOptions& options);

// Gathers layers one at a time; the family of tests is all of them.
class AffinityAnalysis {
 public:
  AffinityAnalysis(const RowColumns& rows, const AffinityOptions& options, ThreadPool& pool);
  ~AffinityAnalysis();
  void AddLayer(const LayerColumns& layer);
  Affinity Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Affinity AffinityTable(const store::Run& run, store::Database& database, const RowColumns& rows,
                       const std::vector<int>& layers, const AffinityOptions& options,
                       ThreadPool& pool);

}  // namespace moescope::study
