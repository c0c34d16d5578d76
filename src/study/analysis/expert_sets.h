// The sets of experts that occur at one layer, numbered, so that pairs of rows can be compared and
// counted by number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Numbers are given by first appearance. Immutable and thread-safe once made.
class ExpertSets {
 public:
  explicit ExpertSets(const LayerColumns& layer);

  int size() const { return n_sets_; }
  std::span<const int32_t> set_of_row() const { return set_of_row_; }
  // Members of a set in increasing order.
  std::vector<int16_t> Members(int32_t set) const;
  // Whether two sets share an expert. The empty set (all slots dropped) meets nothing.
  bool Meet(int32_t a, int32_t b) const {
    if (!meets_.empty()) return meets_[static_cast<size_t>(a) * n_sets_ + b] != 0;
    return MeetByBits(a, b);
  }

 private:
  bool MeetByBits(int32_t a, int32_t b) const {
    const uint64_t* x = bits_.data() + static_cast<size_t>(a) * n_words_;
    const uint64_t* y = bits_.data() + static_cast<size_t>(b) * n_words_;
    uint64_t common = 0;
    for (int word = 0; word < n_words_; ++word) common |= x[word] & y[word];
    return common != 0;
  }
  // The number of the set with these bits, new ones appended.
  int32_t Intern(const uint64_t* bits);
  void GrowIndex();

  int n_words_ = 1;  // 64 experts each
  int n_sets_ = 0;
  std::vector<uint64_t> bits_;  // [n_sets, n_words]
  std::vector<int32_t> index_;  // open addressing by bits; -1: free; a power of two long
  std::vector<int32_t> set_of_row_;
  std::vector<uint8_t> meets_;  // [n_sets, n_sets] when that is small
};

// Ordered pairs of different rows, and how many agree.
struct PairCounts {
  double pairs = 0;
  double first_repeats = 0;
  double any_overlaps = 0;
};

// Counts agreements over all pairs of a group of rows by counting rows per choice: never row by
// row. Reusable; not thread-safe. Exact while the group has at most kExactSets different sets;
// beyond, overlaps are estimated from kDrawsPerRow seeded draws a row.
class PairCounter {
 public:
  static constexpr int64_t kExactSets = 8192;
  static constexpr int64_t kDrawsPerRow = 64;
  static constexpr int64_t kMaxDraws = int64_t{1} << 26;

  PairCounter(const ExpertSets& sets, int n_experts);
  // `first` and `set` are those of the group's rows; `key` seeds the draws.
  PairCounts AllPairs(std::span<const int16_t> first, std::span<const int32_t> set, uint64_t key);
  // The same over pairs whose tokens differ. Reorders the three arrays by token.
  PairCounts DifferingPairs(std::vector<int32_t>& token, std::vector<int16_t>& first,
                            std::vector<int32_t>& set, uint64_t key);

 private:
  const ExpertSets& sets_;
  std::vector<int64_t> expert_counts_;
  std::vector<int64_t> set_counts_;
  std::vector<int32_t> present_;
  std::vector<int64_t> order_;
};

}  // namespace moescope::study
