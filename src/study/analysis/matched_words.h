// Words that look like a given word in all that its null holds fixed: frequency, leading space,
// capitalisation, data sets. Source of random pairs for path distances.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "study/analysis/word_index.h"

namespace moescope::study {

// Data-set mixes count as alike up to this total variation distance.
inline constexpr double kMaxMixDistance = 0.25;

class MatchedWords {
 public:
  // Words of the index with at least `min_contexts` occurrences, in two documents or more.
  // `index` and `rows` must outlive it.
  MatchedWords(const RowColumns& rows, const WordIndex& index, int64_t min_contexts);

  // Words within +-25 % of its frequency, with its leading space (more than half of occurrences)
  // and capitalisation, and a similar mix of data sets; without those named in `except`.
  std::vector<int32_t> Matching(const Occurrences& word,
                                const std::vector<std::string>& except) const;

 private:
  enum class Capitals { kNone, kFirst, kAll, kMixed };
  struct Features {
    int32_t word = -1;
    int64_t count = 0;
    bool after_space = false;
    Capitals capitals = Capitals::kNone;
    std::vector<float> mix;  // share of occurrences in each data set
  };
  static Capitals CapitalsOf(const std::string& text);
  Features FeaturesOf(const Occurrences& word) const;

  const RowColumns& rows_;
  const WordIndex& index_;
  std::vector<Features> words_;
};

// Up to `limit` different pairs (x of a, y of b, x != y, unordered pairs once): all of them when
// there are no more, else drawn at random.
std::vector<std::pair<int32_t, int32_t>> DrawPairs(const std::vector<int32_t>& a,
                                                   const std::vector<int32_t>& b, int limit,
                                                   uint64_t key);

// Words for `limit` pairs, as few as give them: those in both lists first, since each of them makes
// a pair with every word there is, then from the list that adds more pairs. Which words of a list
// come first is drawn by `seed` and the word alone, so that questions with common words share them.
// All words when they have no more than `limit` pairs.
struct WordsForPairs {
  std::vector<int32_t> a, b;  // increasing
};
WordsForPairs ChooseWordsForPairs(const std::vector<int32_t>& a, const std::vector<int32_t>& b,
                                  int64_t limit, uint64_t seed);

}  // namespace moescope::study
