#include "study/analysis/permutation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {
namespace {

// Arrangements that are the same by symmetry differ in the last bits of their sums.
constexpr double kTie = 1e-9;

bool Reaches(double value, double observed) {
  return value >= observed - kTie * (1 + std::abs(observed));
}

// n! / product of counts!, or kManyArrangements if that is less.
double CountArrangements(std::span<const int64_t> counts) {
  double n = 0, arrangements = 1;
  for (int64_t count : counts) {
    for (int64_t i = 1; i <= count; ++i) {
      arrangements *= ++n / static_cast<double>(i);
      // Every later factor is at least 1.
      if (arrangements >= kManyArrangements) return kManyArrangements;
    }
  }
  return std::round(arrangements);
}

// Arrangements of `counts` that begin with `label`, of `arrangements` of n labels in all.
int64_t BeginningWith(int64_t arrangements, int64_t count, int64_t n) {
  return static_cast<int64_t>(static_cast<__int128>(arrangements) * count / n);
}

int64_t RankOf(std::span<const int32_t> labels, std::vector<int64_t> counts, int64_t arrangements) {
  int64_t rank = 0;
  int64_t left = static_cast<int64_t>(labels.size());
  for (int32_t label : labels) {
    for (int32_t smaller = 0; smaller < label; ++smaller) {
      rank += BeginningWith(arrangements, counts[smaller], left);
    }
    arrangements = BeginningWith(arrangements, counts[label]--, left--);
  }
  return rank;
}

void Unrank(int64_t rank, std::vector<int64_t> counts, int64_t arrangements,
            std::span<int32_t> labels) {
  int64_t left = static_cast<int64_t>(labels.size());
  for (int32_t& label : labels) {
    label = 0;
    int64_t here = BeginningWith(arrangements, counts[0], left);
    while (rank >= here) {
      rank -= here;
      here = BeginningWith(arrangements, counts[++label], left);
    }
    arrangements = here;
    --counts[label];
    --left;
  }
}

}  // namespace

double PermutationP(int64_t n_as_extreme, int64_t n_permutations) {
  return (1 + static_cast<double>(n_as_extreme)) / (1 + static_cast<double>(n_permutations));
}

LabelPermutations::LabelPermutations(std::span<const int32_t> labels, int n_labels,
                                     int64_t n_random, uint64_t key)
    : observed_(labels.begin(), labels.end()), counts_(std::max(1, n_labels)), key_(key) {
  for (int32_t label : labels) {
    MOESCOPE_CHECK(label >= 0 && label < n_labels);
    ++counts_[label];
  }
  n_arrangements_ = CountArrangements(counts_);
  is_exact_ = n_arrangements_ <= static_cast<double>(n_random) + 1;
  if (is_exact_) {
    observed_rank_ = RankOf(observed_, counts_, static_cast<int64_t>(n_arrangements_));
    size_ = static_cast<int64_t>(n_arrangements_) - 1;
  } else {
    size_ = n_random;
  }
}

void LabelPermutations::Fill(int64_t index, std::span<int32_t> labels) const {
  MOESCOPE_CHECK(index >= 0 && index < size_ && labels.size() == observed_.size());
  if (is_exact_) {
    const int64_t rank = index < observed_rank_ ? index : index + 1;
    Unrank(rank, counts_, static_cast<int64_t>(n_arrangements_), labels);
    return;
  }
  std::copy(observed_.begin(), observed_.end(), labels.begin());
  Random random(Combine(key_, static_cast<uint64_t>(index)));
  for (size_t left = labels.size(); left > 1; --left) {
    std::swap(labels[left - 1], labels[random.Below(left)]);
  }
}

MaxTFamily::MaxTFamily(int64_t n_permutations, Sides sides)
    : n_permutations_(n_permutations), sides_(sides), largest_(n_permutations, -HUGE_VAL) {}

void MaxTFamily::Add(std::span<const double> observed, std::span<const double> permuted) {
  const size_t n_cells = observed.size(), n = n_permutations_;
  MOESCOPE_CHECK(permuted.size() == n * n_cells);
  std::vector<double> values(n);
  for (size_t c = 0; c < n_cells; ++c) {
    PermutedCell& cell = cells_.emplace_back();
    double sum = observed[c];
    for (size_t i = 0; i < n; ++i) sum += values[i] = permuted[i * n_cells + c];
    const double mean = sum / static_cast<double>(n + 1);
    double squares = (observed[c] - mean) * (observed[c] - mean);
    for (double value : values) squares += (value - mean) * (value - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(n + 1));
    cell.mean = mean;
    cell.deviation = deviation;
    cell.upper_95 = std::numeric_limits<double>::quiet_NaN();
    if (n == 0 || !std::isfinite(deviation)) continue;
    if (deviation > kTie * (1 + std::abs(mean))) {
      const auto standardise = [&](double value) {
        const double statistic = (value - mean) / deviation;
        return sides_ == Sides::kBoth ? std::abs(statistic) : statistic;
      };
      cell.statistic = standardise(observed[c]);
      int64_t n_as_extreme = 0;
      for (size_t i = 0; i < n; ++i) {
        const double statistic = standardise(values[i]);
        n_as_extreme += Reaches(statistic, cell.statistic);
        largest_[i] = std::max(largest_[i], statistic);
      }
      cell.p = PermutationP(n_as_extreme, n_permutations_);
    }
    std::sort(values.begin(), values.end());
    cell.upper_95 = Quantile(values, 0.95);
  }
}

std::vector<PermutedCell> MaxTFamily::Finish() {
  std::sort(largest_.begin(), largest_.end());
  critical_value_ = largest_.empty() ? std::nan("") : Quantile(largest_, 0.95);
  for (PermutedCell& cell : cells_) {
    if (cell.p == 1 && cell.statistic == 0) continue;  // could not be tested
    const auto first = std::partition_point(largest_.begin(), largest_.end(),
                                            [&](double v) { return !Reaches(v, cell.statistic); });
    cell.p_max = PermutationP(largest_.end() - first, n_permutations_);
  }
  return std::move(cells_);
}

}  // namespace moescope::study
