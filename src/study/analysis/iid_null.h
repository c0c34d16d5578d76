// The largest of several shares is large by chance alone: how large it would be if rows were routed
// independently of what they are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace moescope::study {

// Draws decisions of rows at random, with replacement, and counts experts. Reusable; not
// thread-safe.
class IidDraws {
 public:
  // decisions  [n_rows, n_slots] experts, -1: dropped; must outlive this
  // Requires: at least one row.
  IidDraws(std::span<const int16_t> decisions, int n_slots, int n_experts)
      : decisions_(decisions),
        n_slots_(n_slots),
        n_rows_(static_cast<int64_t>(decisions.size()) / n_slots),
        counts_(n_experts) {}

  // The count of the most frequent expert among `n` rows.
  int64_t MaxCount(int64_t n, Random& random);

 private:
  std::span<const int16_t> decisions_;
  int n_slots_;
  int64_t n_rows_;
  std::vector<int64_t> counts_;
};

// The mean of MaxCount / n over seeded draws: a thousand, fewer where n is large and the share
// hardly varies (at least 16). NaN for n = 0 or no rows.
double ExpectedMaxShare(std::span<const int16_t> decisions, int n_slots, int n_experts, int64_t n,
                        uint64_t key);

}  // namespace moescope::study
