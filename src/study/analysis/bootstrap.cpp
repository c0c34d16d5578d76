#include "study/analysis/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

// How often each unit is drawn in one resample, stratum by stratum.
void DrawUnits(std::span<const int64_t> strata, Random random, std::vector<uint32_t>& times) {
  std::fill(times.begin(), times.end(), 0);
  uint32_t* stratum = times.data();
  for (int64_t size : strata) {
    for (int64_t draw = 0; draw < size; ++draw) ++stratum[random.Below(size)];
    stratum += size;
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
  const auto total = [&](std::span<const double> totals, int column) {
    double sum = 0;
    for (size_t s = 0; s < strata.size(); ++s) sum += totals[s * n_columns + column];
    return sum;
  };
  const auto statistics = [&](std::span<const double> totals, std::span<double> values) {
    for (size_t r = 0; r < ratios.size(); ++r) {
      const double denominator = total(totals, ratios[r].denominator);
      values[r] =
          denominator == 0 ? std::nan("") : total(totals, ratios[r].numerator) / denominator;
    }
  };
  return BootstrapStatistics(sums, n_columns, strata, static_cast<int>(ratios.size()), statistics,
                             key, options, pool);
}

void AddResample(std::span<const double> sums, std::span<const uint32_t> times,
                 std::span<double> totals) {
  const size_t n_columns = totals.size();
  for (size_t unit = 0; unit < times.size(); ++unit) {
    if (times[unit] == 0) continue;
    const double weight = times[unit];
    const double* row = sums.data() + unit * n_columns;
    for (size_t column = 0; column < n_columns; ++column) totals[column] += weight * row[column];
  }
}

Interval PercentileInterval(std::span<double> values, double level) {
  const auto end = std::remove_if(values.begin(), values.end(), [](double v) { return v != v; });
  const std::span<double> known = values.first(static_cast<size_t>(end - values.begin()));
  if (known.empty()) return {std::nan(""), std::nan("")};
  std::sort(known.begin(), known.end());
  const double tail = (1 - level) / 2;
  return {Quantile(known, tail), Quantile(known, 1 - tail)};
}

std::vector<Interval> BootstrapStatistics(std::span<const double> sums, int n_columns,
                                          std::span<const int64_t> strata, int n_statistics,
                                          ResampleStatistics statistics, uint64_t key,
                                          const BootstrapOptions& options, ThreadPool& pool) {
  const size_t n_units = std::accumulate(strata.begin(), strata.end(), int64_t{0});
  MOESCOPE_CHECK(n_columns > 0 && sums.size() == n_units * n_columns);
  if (n_units < kMinUnits || options.n_samples < 1) return {};

  struct Scratch {
    std::vector<uint32_t> times;
    std::vector<double> totals, values;
  };
  std::vector<Scratch> scratch(pool.n_threads());
  const size_t n_samples = options.n_samples;
  std::vector<double> values(n_statistics * n_samples);  // [statistic, sample]
  const uint64_t stream = Combine(options.seed, key);
  constexpr int64_t kSamplesPerTask = 16;
  const int64_t n_tasks = (options.n_samples + kSamplesPerTask - 1) / kSamplesPerTask;
  pool.Run(n_tasks, [&](int64_t task, int worker) {
    Scratch& mine = scratch[worker];
    mine.times.resize(n_units);
    mine.values.resize(n_statistics);
    const int64_t end = std::min<int64_t>(options.n_samples, (task + 1) * kSamplesPerTask);
    for (int64_t sample = task * kSamplesPerTask; sample < end; ++sample) {
      DrawUnits(strata, Random(Combine(stream, sample)), mine.times);
      mine.totals.assign(strata.size() * n_columns, 0);
      size_t unit = 0;
      for (size_t s = 0; s < strata.size(); ++s) {
        AddResample(sums.subspan(unit * n_columns, strata[s] * n_columns),
                    std::span(mine.times).subspan(unit, strata[s]),
                    std::span(mine.totals).subspan(s * n_columns, n_columns));
        unit += strata[s];
      }
      statistics(mine.totals, mine.values);
      for (int v = 0; v < n_statistics; ++v) values[v * n_samples + sample] = mine.values[v];
    }
  });

  std::vector<Interval> intervals;
  for (int v = 0; v < n_statistics; ++v) {
    intervals.push_back(
        PercentileInterval(std::span(values).subspan(v * n_samples, n_samples), options.level));
  }
  return intervals;
}

std::string WhyNoInterval(int64_t n_units, const std::string& unit_by) {
  if (n_units >= kMinUnits) return "";
  if (unit_by == "-") return "a single stream";
  return fmt::format("{} unit{}, fewer than {}", n_units, n_units == 1 ? "" : "s", kMinUnits);
}

}  // namespace moescope::study
