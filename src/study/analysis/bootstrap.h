// Intervals: percentile bootstrap, whole units resampled within a data set, statistics as ratios
// of sums. Method: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/parallel/thread_pool.h"

namespace moescope::study {

inline constexpr int kMinUnits = 10;  // fewer: no interval, and the page says why

struct BootstrapOptions {
  int n_samples = 2000;
  uint64_t seed = 1;
  double level = 0.95;
};

struct Interval {
  double low = 0;
  double high = 0;
};

// numerator / denominator of summed unit statistics, as columns of a table of them.
struct Ratio {
  int numerator = 0;
  int denominator = 0;
};

// Intervals of `ratios` over the units of one data set.
//   sums  [n_units, n_columns] statistics of each unit; integers below 2^53 keep the result
//         independent of the order of summation
//   key   names the data set, so that data sets are resampled independently
// Percentiles interpolate linearly between order statistics. Samples whose denominator is 0 are
// left out. Empty when n_units < kMinUnits. The same for any number of threads.
std::vector<Interval> BootstrapRatios(std::span<const double> sums, int n_columns,
                                      std::span<const Ratio> ratios, uint64_t key,
                                      const BootstrapOptions& options, ThreadPool& pool);

// The same for units of several data sets together: `strata` counts the units of each in turn, and
// each is resampled by itself. `sums` has the units of all.
std::vector<Interval> BootstrapStratifiedRatios(std::span<const double> sums, int n_columns,
                                                std::span<const int64_t> strata,
                                                std::span<const Ratio> ratios, uint64_t key,
                                                const BootstrapOptions& options, ThreadPool& pool);

// Any statistics of a resample: `statistics` gets its totals, [n_strata, n_columns], and writes
// n_statistics values; NaN leaves the sample out. Called from all threads of the pool at once.
using ResampleStatistics =
    FunctionRef<void(std::span<const double> totals, std::span<double> values)>;
std::vector<Interval> BootstrapStatistics(std::span<const double> sums, int n_columns,
                                          std::span<const int64_t> strata, int n_statistics,
                                          ResampleStatistics statistics, uint64_t key,
                                          const BootstrapOptions& options, ThreadPool& pool);

// Adds to totals[n_columns] the rows of sums[n_units, n_columns], each as often as it was drawn.
void AddResample(std::span<const double> sums, std::span<const uint32_t> times,
                 std::span<double> totals);

// Between the percentiles of `values` that leave out (1 - level) / 2 on either side; sorts them,
// NaN left out. {NaN, NaN} when none is left.
Interval PercentileInterval(std::span<double> values, double level);

// The value below which a share `q` of sorted `values` lies, interpolated. Requires: not empty.
double Quantile(std::span<const double> sorted_values, double q);

// Why a data set has no interval: "a single stream", "4 units, fewer than 10"; "" when it has one.
std::string WhyNoInterval(int64_t n_units, const std::string& unit_by);

}  // namespace moescope::study
