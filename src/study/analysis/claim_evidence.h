// The analyses that claims are judged on, run together.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/affinity.h"
#include "study/analysis/cross_layer.h"
#include "study/analysis/domains.h"
#include "study/analysis/explained.h"
#include "study/analysis/indentation.h"
#include "study/analysis/repetition.h"
#include "study/analysis/route_columns.h"
#include "study/analysis/word_consistency.h"

namespace moescope::study {

// An analysis the run has no data for is empty here, and `absent` has
// (its figure, why).
struct ClaimEvidence {
  std::vector<int> layers;  // first, middle, last, or those asked for; at least one
  int n_experts = 0;
  std::vector<RepetitionCell> repetition;  // lag 1, at `layers` at least
  std::optional<Domains> domains;
  std::optional<Affinity> affinity;  // all layers of the run
  std::vector<ExplainedShare> explained;
  std::vector<IndentationCell> indentation;
  std::vector<WordCell> words;
  std::vector<CrossLayerCell> cross_layer;  // neighbours, and first, middle, last
  std::vector<std::pair<std::string, std::string>> absent;
};

// Runs the analyses at `layers` (increasing, of the run). `repetition` becomes the evidence's.
// Throws Error(kBadInput) for a dense run.
ClaimEvidence GatherEvidence(const store::Run& run, store::Database& database,
                             const RowColumns& rows, const std::vector<int>& layers,
                             std::vector<RepetitionCell> repetition,
                             const BootstrapOptions& bootstrap, ThreadPool& pool);

}  // namespace moescope::study
