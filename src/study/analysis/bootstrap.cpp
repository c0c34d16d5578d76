#include "study/analysis/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "study/analysis/random.h"

namespace moescope::study {
namespace {

// Sums of one resample: how often each unit was drawn, times its row.
void SumResample(std::span<const double> sums, int n_columns, std::span<const int64_t> strata,
                 Random random, std::vector<uint32_t>& times, std::vector<double>& totals) {
  const size_t n_units = times.size();
  std::fill(times.begin(), times.end(), 0);
  std::fill(totals.begin(), totals.end(), 0.0);
  uint32_t* stratum = times.data();
  for (int64_t size : strata) {
    for (int64_t draw = 0; draw < size; ++draw) ++stratum[random.Below(size)];
    stratum += size;
  }
  for (size_t unit = 0; unit < n_units; ++unit) {
    if (times[unit] == 0) continue;
    const double weight = times[unit];
    const double* row = sums.data() + unit * n_columns;
    for (int column = 0; column < n_columns; ++column) totals[column] += weight * row[column];
  }
}

}  // namespace

double Quantile(std::span<const double> sorted_values, double q) {
  MOESCOPE_CHECK(!sorted_values.empty());
  const double place = q * static_cast<double>(sorted_values.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted_values.size() - 1);
  const double share = place - static_cast<double>(below);
  return sorted_values[below] + share * (sorted_values[above] - sorted_values[below]);
}

std::vector<Interval> BootstrapRatios(std::span<const double> sums, int n_columns,
                                      std::span<const Ratio> ratios, uint64_t key,
                                      const BootstrapOptions& options, ThreadPool& pool) {
  MOESCOPE_CHECK(n_columns > 0);
  const int64_t n_units = static_cast<int64_t>(sums.size()) / n_columns;
  return BootstrapStratifiedRatios(sums, n_columns, std::span(&n_units, 1), ratios, key, options,
                                   pool);
}

std::vector<Interval> BootstrapStratifiedRatios(std::span<const double> sums, int n_columns,
                                                std::span<const int64_t> strata,
                                                std::span<const Ratio> ratios, uint64_t key,
                                                const BootstrapOptions& options, ThreadPool& pool) {
  const size_t n_units = std::accumulate(strata.begin(), strata.end(), int64_t{0});
  MOESCOPE_CHECK(n_columns > 0 && sums.size() == n_units * n_columns);
  if (n_units < kMinUnits || options.n_samples < 1) return {};

  struct Scratch {
    std::vector<uint32_t> times;
    std::vector<double> totals;
  };
  std::vector<Scratch> scratch(pool.n_threads());
  const size_t n_samples = options.n_samples;
  std::vector<double> values(ratios.size() * n_samples);  // [ratio, sample]
  const uint64_t stream = Combine(options.seed, key);
  constexpr int64_t kSamplesPerTask = 16;
  const int64_t n_tasks = (options.n_samples + kSamplesPerTask - 1) / kSamplesPerTask;
  pool.Run(n_tasks, [&](int64_t task, int worker) {
    Scratch& mine = scratch[worker];
    mine.times.resize(n_units);
    mine.totals.resize(n_columns);
    const int64_t end = std::min<int64_t>(options.n_samples, (task + 1) * kSamplesPerTask);
    for (int64_t sample = task * kSamplesPerTask; sample < end; ++sample) {
      SumResample(sums, n_columns, strata, Random(Combine(stream, sample)), mine.times,
                  mine.totals);
      for (size_t r = 0; r < ratios.size(); ++r) {
        const double denominator = mine.totals[ratios[r].denominator];
        values[r * n_samples + sample] =
            denominator == 0 ? std::nan("") : mine.totals[ratios[r].numerator] / denominator;
      }
    }
  });

  std::vector<Interval> intervals(ratios.size());
  const double tail = (1 - options.level) / 2;
  for (size_t r = 0; r < ratios.size(); ++r) {
    const auto begin = values.begin() + static_cast<int64_t>(r * n_samples);
    auto end = begin + static_cast<int64_t>(n_samples);
    end = std::remove_if(begin, end, [](double value) { return std::isnan(value); });
    if (begin == end) {
      intervals[r] = {std::nan(""), std::nan("")};
      continue;
    }
    std::sort(begin, end);
    const std::span<const double> sorted(&*begin, static_cast<size_t>(end - begin));
    intervals[r] = {Quantile(sorted, tail), Quantile(sorted, 1 - tail)};
  }
  return intervals;
}

std::string WhyNoInterval(int64_t n_units, const std::string& unit_by) {
  if (n_units >= kMinUnits) return "";
  if (unit_by == "-") return "a single stream";
  return fmt::format("{} unit{}, fewer than {}", n_units, n_units == 1 ? "" : "s", kMinUnits);
}

}  // namespace moescope::study
