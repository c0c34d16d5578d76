// Which words a minimal-pair comparison needs: those asked for and, from the run, matched words for
// its null. Matching: matched_words.h.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "study/analysis/minimal_pairs.h"
#include "study/analysis/word_index.h"

namespace moescope::study {

// Of a null word in the run. A word's frequency, which it is matched on, says nothing below.
inline constexpr int kMinOccurrences = 5;

// A pair asked for, beside its null.
struct PlannedPair {
  std::string a, b;
  int64_t occurrences_a = 0, occurrences_b = 0;
  int64_t candidates_a = 0, candidates_b = 0;  // words of the run matched to a, to b
  int64_t null_words = 0;                      // of them, in the null pairs
  std::string null_note;                       // why there are fewer null pairs than asked for
};

struct MinimalPairPlan {
  std::vector<std::string> words;  // each once, those asked for first
  std::vector<PlannedPair> pairs;
  std::vector<MinimalPairQuestion> questions;  // as `pairs`, of `words`
};

// Up to `n_null` null pairs for each pair, from as few words as give them.
MinimalPairPlan PlanMinimalPairs(const RowColumns& rows, const WordIndex& index,
                                 const std::vector<std::pair<Occurrences, Occurrences>>& pairs,
                                 int n_null, uint64_t seed);

}  // namespace moescope::study
