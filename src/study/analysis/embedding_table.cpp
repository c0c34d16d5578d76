#include "study/analysis/embedding_table.h"

#include <cmath>
#include <limits>
#include <span>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

using Kind = EmbeddingColumns::Kind;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The mean of a sum over the tokens it is of.
double Mean(const EmbeddingColumns& columns, std::span<const double> totals, int place, Kind kind) {
  const bool of_tokens = kind == Kind::kInput || kind == Kind::kInputNull;
  const double n = totals[of_tokens ? columns.n_tokens() : columns.n_pairs()];
  return n > 0 ? totals[columns.Of(place, kind)] / n : kNaN;
}

double PredictedMean(const EmbeddingColumns& columns, std::span<const double> totals) {
  const double n = totals[columns.n_pairs()];
  return n > 0 ? totals[columns.predicted()] / n : kNaN;
}

// The statistics of one data set: per place input, its excess, output, its excess; the predicted.
constexpr int kOfPlace = 4;
void Statistics(const EmbeddingColumns& columns, std::span<const double> totals,
                std::span<double> values) {
  for (int place = 0; place < columns.n_places(); ++place) {
    const double input = Mean(columns, totals, place, Kind::kInput);
    const double output = Mean(columns, totals, place, Kind::kOutput);
    const auto of_place = values.subspan(static_cast<size_t>(place * kOfPlace), kOfPlace);
    of_place[0] = input;
    of_place[1] = input - Mean(columns, totals, place, Kind::kInputNull);
    of_place[2] = output;
    of_place[3] = output - Mean(columns, totals, place, Kind::kOutputNull);
  }
  values.back() = PredictedMean(columns, totals);
}

// Each data set's mean minus the mean of the others' means: [data set, place, input or output].
void AgainstRest(const EmbeddingColumns& columns, std::span<const double> totals,
                 std::span<double> values) {
  const auto n_columns = static_cast<size_t>(columns.count());
  const size_t n_datasets = totals.size() / n_columns;
  const auto n_places = static_cast<size_t>(columns.n_places());
  std::vector<double> means(n_datasets);
  for (size_t place = 0; place < n_places; ++place) {
    for (size_t side = 0; side < 2; ++side) {
      double sum = 0;
      for (size_t d = 0; d < n_datasets; ++d) {
        means[d] = Mean(columns, totals.subspan(d * n_columns, n_columns), static_cast<int>(place),
                        side == 0 ? Kind::kInput : Kind::kOutput);
        sum += means[d];
      }
      for (size_t d = 0; d < n_datasets; ++d) {
        values[(d * n_places + place) * 2 + side] =
            n_datasets > 1 ? means[d] - (sum - means[d]) / static_cast<double>(n_datasets - 1)
                           : kNaN;
      }
    }
  }
}

std::vector<double> TotalsOf(const EmbeddingDataset& dataset, int n_columns) {
  std::vector<double> totals(static_cast<size_t>(n_columns));
  for (size_t i = 0; i < dataset.sums.size(); ++i) totals[i % totals.size()] += dataset.sums[i];
  return totals;
}

// Values and intervals of all statistics against the rest.
struct RestContrasts {
  std::vector<double> values;
  std::vector<Interval> intervals;  // empty: too few units
  int64_t n_units = 0;

  RestContrasts(const std::vector<EmbeddingDataset>& datasets, const EmbeddingColumns& columns,
                const BootstrapOptions& options, ThreadPool& pool) {
    std::vector<double> sums, totals;
    std::vector<int64_t> strata;
    for (const EmbeddingDataset& dataset : datasets) {
      sums.insert(sums.end(), dataset.sums.begin(), dataset.sums.end());
      const std::vector<double> of_dataset = TotalsOf(dataset, columns.count());
      totals.insert(totals.end(), of_dataset.begin(), of_dataset.end());
      strata.push_back(dataset.n_units);
      n_units += dataset.n_units;
    }
    values.resize(datasets.size() * static_cast<size_t>(columns.n_places()) * 2);
    AgainstRest(columns, totals, values);
    intervals = BootstrapStatistics(
        sums, columns.count(), strata, static_cast<int>(values.size()),
        [&](std::span<const double> drawn, std::span<double> out) {
          AgainstRest(columns, drawn, out);
        },
        KeyOfName("embeddings against the rest"), options, pool);
  }
};

std::optional<Interval> IntervalAt(const std::vector<Interval>& intervals, size_t place) {
  return intervals.empty() ? std::nullopt : std::optional(intervals[place]);
}

}  // namespace

std::vector<EmbeddingRow> EmbeddingTable(const std::vector<EmbeddingDataset>& datasets,
                                         int n_layers, const BootstrapOptions& options,
                                         ThreadPool& pool) {
  const EmbeddingColumns columns{n_layers};
  const auto n_places = static_cast<size_t>(columns.n_places());
  const RestContrasts rest(datasets, columns, options, pool);
  std::vector<EmbeddingRow> rows(n_places * datasets.size());
  for (size_t d = 0; d < datasets.size(); ++d) {
    const EmbeddingDataset& dataset = datasets[d];
    MOESCOPE_CHECK(dataset.sums.size() ==
                   static_cast<size_t>(dataset.n_units) * static_cast<size_t>(columns.count()));
    const std::vector<double> totals = TotalsOf(dataset, columns.count());
    std::vector<double> values(n_places * kOfPlace + 1);
    Statistics(columns, totals, values);
    const int64_t strata[] = {dataset.n_units};
    const auto intervals = BootstrapStatistics(
        dataset.sums, columns.count(), strata, static_cast<int>(values.size()),
        [&](std::span<const double> drawn, std::span<double> out) {
          Statistics(columns, drawn, out);
        },
        KeyOfName(dataset.name), options, pool);
    const bool has_contrast =
        dataset.n_units >= kMinUnits && rest.n_units - dataset.n_units >= kMinUnits;
    for (size_t place = 0; place < n_places; ++place) {
      EmbeddingRow& row = rows[place * datasets.size() + d];
      row.dataset = dataset.name;
      row.layer = static_cast<int>(place) / kEmbeddingSites;
      row.site = static_cast<EmbeddingSite>(place % kEmbeddingSites);
      row.n_units = dataset.n_units;
      row.n_tokens = std::llround(totals[static_cast<size_t>(columns.n_tokens())]);
      row.n_pairs = std::llround(totals[static_cast<size_t>(columns.n_pairs())]);
      row.why_no_interval = WhyNoInterval(dataset.n_units, dataset.unit_by);
      for (size_t side = 0; side < 2; ++side) {
        EmbeddingEstimate& estimate = side == 0 ? row.input : row.output;
        const size_t at = place * kOfPlace + 2 * side;
        estimate.correlation = values[at];
        estimate.interval = IntervalAt(intervals, at);
        estimate.excess = values[at + 1];
        estimate.excess_interval = IntervalAt(intervals, at + 1);
        estimate.null = estimate.correlation - estimate.excess;
        const size_t contrast = (d * n_places + place) * 2 + side;
        estimate.against_rest = rest.values[contrast];
        if (has_contrast) {
          estimate.against_rest_interval = IntervalAt(rest.intervals, contrast);
        }
      }
      const bool is_end = place + 1 == n_places;
      row.predicted = is_end ? values.back() : kNaN;
      if (is_end) row.predicted_interval = IntervalAt(intervals, values.size() - 1);
    }
  }
  return rows;
}

}  // namespace moescope::study
