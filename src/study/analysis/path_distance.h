// Path distance of two words: how far the sets of experts that see them differ, over layers, in
// contexts from different documents; beside random pairs of matched words.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/word_index.h"

namespace moescope::study {

struct PathDistanceOptions {
  int min_contexts = 50;  // of each word
  int n_null = 1000;      // random pairs for each pair asked for
  uint64_t seed = 1;
};

// One kind of distance: by sets, or by routing weights. Excess is D(a,b) - (D(a,a) + D(b,b)) / 2:
// 0 for words that travel as if they were one.
struct DistanceResult {
  double distance = 0;  // D(a,b)
  double within_a = 0;  // D(a,a)
  double within_b = 0;
  double excess = 0;
  double null_mean = 0;  // excess of the random pairs; NaN without any
  double null_low = 0;   // 5th and 95th percentiles
  double null_high = 0;
  double p = 0;       // one-sided: random pairs at least as close
  double p_holm = 0;  // over the pairs asked for
};

struct PairDistance {
  std::string a, b;
  int64_t contexts_a = 0, contexts_b = 0;
  int64_t documents_a = 0, documents_b = 0;
  double context_pairs = 0;  // pairs of contexts from different documents
  std::string why_not;       // "": measured. "underpowered: ..."
  DistanceResult sets, weights;
  int64_t candidates_a = 0, candidates_b = 0;  // words matched to a, to b
  int64_t null_pairs = 0;                      // fewer than asked for when the text has no more
  std::string null_note;                       // why null_pairs are fewer than asked for
};

// Exact over all pairs of contexts from different documents: inclusion counts by word and document
// make it a sum of products less the terms of the same document. One layer in memory at a time.
std::vector<PairDistance> ComputePathDistances(
    const store::Run& run, store::Database& database, const RowColumns& rows,
    const WordIndex& index, const std::vector<std::pair<Occurrences, Occurrences>>& pairs,
    const std::vector<int>& layers, const PathDistanceOptions& options, ThreadPool& pool);

}  // namespace moescope::study
