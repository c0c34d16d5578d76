// Whether indentation goes to one expert.
// Source: Mixtral of Experts, arXiv 2401.04088, figure 8. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// Indentation tokens (token_classes.h) of one data set at one layer, by first choice. A row whose
// first choice was dropped does not count. Shares are fractions.
struct IndentationCell {
  std::string dataset;
  int layer = 0;
  int64_t tokens = 0;              // indentation tokens of the data set
  double largest_token_share = 0;  // of its most frequent token id: near 1, this is about that id
  // All units: the most frequent expert among them, and what i.i.d. routing gives the most
  // frequent.
  int top_expert = -1;
  double top_share = 0;
  double iid_share = 0;
  // One half of the units chooses the expert, the other measures its share.
  bool is_split = false;  // false: a single unit chooses and measures
  int expert = -1;        // -1: the searching half has no indentation
  int64_t measured_tokens = 0;
  double share = 0;
  double marginal_share = 0;  // of the same expert among all rows of the measured units
  int64_t n_units = 0;        // measured
  std::optional<Interval> interval;
  std::string why_no_interval;
};

// One cell for each data set that has indentation tokens.
//   is_indentation  [n_rows]
std::vector<IndentationCell> ComputeIndentation(const RowColumns& rows, const LayerColumns& layer,
                                                const std::vector<uint8_t>& is_indentation,
                                                const BootstrapOptions& options, ThreadPool& pool);

// Data sets x layers of a run. Throws Error(kBadInput) for a dense run.
std::vector<IndentationCell> IndentationTable(const store::Run& run, store::Database& database,
                                              const RowColumns& rows,
                                              const std::vector<int>& layers,
                                              const BootstrapOptions& options, ThreadPool& pool);

}  // namespace moescope::study
