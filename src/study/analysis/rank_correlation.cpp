#include "study/analysis/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace moescope::study {
namespace {

// Nats per prediction that each branch adds, from totals of predictions, baseline and branches.
void Effects(std::span<const double> totals, int n_datasets, std::span<double> effects) {
  const size_t n_columns = effects.size() + 2;
  std::fill(effects.begin(), effects.end(), 0);
  double predictions = 0, baseline = 0;
  for (size_t d = 0; d < static_cast<size_t>(n_datasets); ++d) {
    const std::span<const double> of = totals.subspan(d * n_columns, n_columns);
    predictions += of[0];
    baseline += of[1];
    for (size_t cell = 0; cell < effects.size(); ++cell) effects[cell] += of[2 + cell];
  }
  for (double& effect : effects) effect = (effect - baseline) / predictions;
}

// NaN where no layer has one.
double WithinLayers(std::span<const double> a, std::span<const double> b, int n_layers) {
  const size_t n_experts = a.size() / static_cast<size_t>(n_layers);
  double sum = 0;
  int n = 0;
  for (size_t first = 0; first < a.size(); first += n_experts) {
    const double of_layer =
        RankCorrelation(a.subspan(first, n_experts), b.subspan(first, n_experts));
    if (std::isnan(of_layer)) continue;
    sum += of_layer;
    ++n;
  }
  return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<double> Ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    const double mean = (static_cast<double>(i + 1) + static_cast<double>(end)) / 2;
    for (; i < end; ++i) ranks[order[i]] = mean;
  }
  return ranks;
}

double RankCorrelation(std::span<const double> a, std::span<const double> b) {
  MOESCOPE_CHECK(a.size() == b.size());
  const std::vector<double> x = Ranks(a), y = Ranks(b);
  const double mean = (static_cast<double>(a.size()) + 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  if (xx == 0 || yy == 0) return std::numeric_limits<double>::quiet_NaN();
  return xy / std::sqrt(xx * yy);
}

std::vector<CriterionCorrelation> CorrelateCriteria(const std::vector<Criterion>& criteria,
                                                    const std::vector<AblationDataset>& datasets,
                                                    int n_cells, int n_layers,
                                                    const BootstrapOptions& options,
                                                    ThreadPool& pool) {
  const auto cells = static_cast<size_t>(n_cells);
  const size_t n_columns = cells + 2;
  std::vector<double> sums, totals(datasets.size() * n_columns);
  std::vector<int64_t> strata;
  for (size_t d = 0; d < datasets.size(); ++d) {
    const AblationDataset& dataset = datasets[d];
    strata.push_back(dataset.n_units);
    for (size_t unit = 0; unit < static_cast<size_t>(dataset.n_units); ++unit) {
      sums.push_back(static_cast<double>(dataset.predictions[unit]));
      const auto losses = dataset.losses.begin() + static_cast<ptrdiff_t>(unit * (cells + 1));
      sums.insert(sums.end(), losses, losses + static_cast<ptrdiff_t>(cells + 1));
      for (size_t c = 0; c < n_columns; ++c) {
        totals[d * n_columns + c] += sums[sums.size() - n_columns + c];
      }
    }
  }
  const int n_datasets = static_cast<int>(datasets.size());
  auto correlate = [&](std::span<const double> of, std::span<double> values) {
    std::vector<double> effects(cells);
    Effects(of, n_datasets, effects);
    for (size_t i = 0; i < criteria.size(); ++i) {
      values[2 * i] = RankCorrelation(criteria[i].values, effects);
      values[2 * i + 1] = WithinLayers(criteria[i].values, effects, n_layers);
    }
  };
  std::vector<double> values(2 * criteria.size());
  correlate(totals, values);
  std::vector<Interval> intervals;
  if (std::all_of(strata.begin(), strata.end(), [](int64_t n) { return n >= kMinUnits; })) {
    intervals = BootstrapStatistics(sums, static_cast<int>(n_columns), strata,
                                    static_cast<int>(values.size()), correlate, 0, options, pool);
  }
  std::vector<CriterionCorrelation> correlations;
  for (size_t i = 0; i < criteria.size(); ++i) {
    CriterionCorrelation& of = correlations.emplace_back();
    of.criterion = criteria[i].name;
    of.all = values[2 * i];
    of.within_layers = values[2 * i + 1];
    if (intervals.empty()) continue;
    of.all_interval = intervals[2 * i];
    of.within_interval = intervals[2 * i + 1];
  }
  return correlations;
}

}  // namespace moescope::study
