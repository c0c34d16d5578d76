// Minimal pairs as rows and on a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/minimal_pair_plan.h"
#include "study/analysis/minimal_pairs.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// What was run for a minimal-pair comparison.
struct MinimalPairRun {
  std::vector<std::string> templates;  // with {} where the word goes
  std::vector<int> layers;
  int n_null = 0;  // null pairs asked for
  bool bos = false;
  std::string kernel_level;  // of the templates; the run has its own
  int64_t n_words = 0, n_sequences = 0, n_tokens = 0;
};

// "route_minimal": a row per pair; in JSON also "layers" and "templates".
FigureTable MinimalPairsFigure(const std::vector<PlannedPair>& plan,
                               const std::vector<MinimalPair>& pairs, const MinimalPairRun& of);
std::string MinimalPairsText(const std::vector<PlannedPair>& plan,
                             const std::vector<MinimalPair>& pairs, const MinimalPairRun& of);

}  // namespace moescope::study
