// How far a token's id decides its experts: the share of its occurrences at its most frequent one.
// Source: OLMoE, arXiv 2409.02060, vocabulary specialisation. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// Whose id a row counts for: its own token's, or that of the token after it.
enum class VocabularyTarget { kInput, kNext };

struct VocabularyOptions {
  int64_t min_count = 10;  // occurrences of an id
  BootstrapOptions bootstrap;
};

// One data set at one layer. Shares are fractions; NaN where no id occurs often enough.
struct VocabularyCell {
  std::string dataset;
  int layer = 0;
  VocabularyTarget target = VocabularyTarget::kInput;
  int64_t ids = 0;                // seen at least min_count times
  int64_t occurrences = 0;        // of those
  double coverage = 0;            // share of all occurrences
  double type_weighted = 0;       // each id counts once
  double token_weighted = 0;      // each occurrence counts once
  double null_type_weighted = 0;  // were each occurrence routed as a row taken at random
  double null_token_weighted = 0;
  // The most frequent expert of each id chosen on one half of the units, measured on the other.
  double held_out = 0;  // token-weighted
  int64_t n_units = 0;  // measured
  std::optional<Interval> held_out_interval;
  std::string why_no_interval;
};

inline constexpr int kVocabularyNullDraws = 19;  // times each occurrence is drawn for the null

// Data set by data set, first by input token, then by next token. A row without any expert left
// counts nowhere. The same for any number of threads.
std::vector<VocabularyCell> ComputeVocabulary(const RowColumns& rows, const LayerColumns& layer,
                                              const VocabularyOptions& options, ThreadPool& pool);

// Over the layers of a run. Throws Error(kBadInput) for a dense run or one without token ids.
std::vector<VocabularyCell> VocabularyTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const VocabularyOptions& options, ThreadPool& pool);

}  // namespace moescope::study
