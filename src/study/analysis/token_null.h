// The token-identity null of repetition: how often neighbours would agree if each decision were
// that of another document's occurrence of the same token. Definition: docs/analyses.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/expert_sets.h"
#include "study/analysis/row_pairs.h"

namespace moescope::study {

// Over the pairs of one data set whose two tokens both occur in another of its documents.
struct TokenNullSums {
  int64_t covered = 0;
  int64_t first_repeats = 0;  // observed on them
  int64_t any_overlaps = 0;
  double expected_first_repeats = 0;  // under the null
  double expected_any_overlaps = 0;
};

// Draws a pair when the exact expectation would need too large a table.
inline constexpr int kTokenNullDraws = 16;

// One result a rule, from one pass over the text. `dataset` is an index into rows.datasets. The
// exact expectation where the experts of a token can be tabulated (kMaxFeatures subsets of experts,
// kMaxTableBytes), else kTokenNullDraws seeded draws a pair. The same for any number of threads.
std::vector<TokenNullSums> ComputeTokenNull(const RowColumns& rows, int dataset,
                                            const LayerColumns& layer, const ExpertSets& sets,
                                            std::span<const PairRule> rules, uint64_t key,
                                            ThreadPool& pool);

// The two ways, apart, so that tests can set one against the other. Exact: returns false, and
// leaves `sums`, when the tables would be too large.
bool ExactTokenNull(const RowColumns& rows, int dataset, const LayerColumns& layer,
                    const ExpertSets& sets, std::span<const PairRule> rules, ThreadPool& pool,
                    std::vector<TokenNullSums>& sums);
TokenNullSums DrawnTokenNull(const RowColumns& rows, int dataset, const LayerColumns& layer,
                             const ExpertSets& sets, const PairRule& rule, uint64_t key,
                             ThreadPool& pool);

}  // namespace moescope::study
