// Permutation tests: labels dealt anew over units, p-values, and the largest statistic of a family.
// Method: docs/analyses.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moescope::study {

// (1 + n_as_extreme) / (1 + n_permutations): the observed labels count as one of them.
double PermutationP(int64_t n_as_extreme, int64_t n_permutations);

// Labels dealt over units, each label as often as observed: all other arrangements if there are at
// most n_random + 1 in all (the test is then exact), otherwise n_random random ones. A function of
// its arguments only; const members may be called from several threads.
class LabelPermutations {
 public:
  // Requires: labels in [0, n_labels).
  LabelPermutations(std::span<const int32_t> labels, int n_labels, int64_t n_random, uint64_t key);

  int64_t size() const { return size_; }
  bool is_exact() const { return is_exact_; }
  // Different arrangements, the observed one included; at most kManyArrangements.
  double n_arrangements() const { return n_arrangements_; }
  // Writes permutation `index`, one label a unit. Requires: 0 <= index < size().
  void Fill(int64_t index, std::span<int32_t> labels) const;

 private:
  std::vector<int32_t> observed_;
  std::vector<int64_t> counts_;  // of each label
  double n_arrangements_ = 1;
  int64_t observed_rank_ = 0;  // among all arrangements in lexicographic order
  int64_t size_ = 0;
  bool is_exact_ = false;
  uint64_t key_ = 0;
};

inline constexpr double kManyArrangements = 1e15;

// A p below 0.05 needs at least as many arrangements.
inline constexpr double kMinArrangements = 20;

enum class Sides { kUpper, kBoth };

// What a cell of a family is tested against.
struct PermutedCell {
  double mean = 0;       // over permutations and the observed value
  double deviation = 0;  // standard deviation over the same
  double upper_95 = 0;   // value that 95 % of permutations do not exceed
  double statistic = 0;  // (observed - mean) / deviation; its size if both sides count
  double p = 1;          // of this cell alone
  double p_max = 1;      // against the largest statistic of the family: the family-wise p
};

// Westfall and Young's single-step max-T: each cell's statistic is standardised by its own
// permutations, and its p is the share of permutations whose largest statistic reaches it. Cells
// come in blocks, so that only a block's permuted values are in memory.
class MaxTFamily {
 public:
  MaxTFamily(int64_t n_permutations, Sides sides);
  // observed [n_cells]; permuted [n_permutations, n_cells]. A cell that is NaN anywhere, or the
  // same in all permutations, has p = 1 and takes no part in the maximum.
  void Add(std::span<const double> observed, std::span<const double> permuted);
  // Fills p_max of all cells, in the order they were added.
  std::vector<PermutedCell> Finish();
  // The 95 % point of the largest statistic: what a cell must reach. Call after Finish.
  double critical_value() const { return critical_value_; }

 private:
  int64_t n_permutations_;
  Sides sides_;
  std::vector<PermutedCell> cells_;
  std::vector<double> largest_;  // [n_permutations]
  double critical_value_ = 0;
};

}  // namespace moescope::study
