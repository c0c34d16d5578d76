#include "study/analysis/ablation_table.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

// Columns by unit: predictions, loss of the baseline, then what each branch adds to it.
struct Columns {
  int n_branches;
  int count() const { return 2 + n_branches; }
  static constexpr int kPredictions = 0, kBaseline = 1;
  static int OfBranch(int branch) { return 2 + branch; }
};

void AppendSums(const AblationDataset& dataset, const Columns& columns, std::vector<double>& sums) {
  const auto width = static_cast<size_t>(columns.n_branches) + 1;
  MOESCOPE_CHECK(dataset.losses.size() == static_cast<size_t>(dataset.n_units) * width);
  for (size_t unit = 0; unit < static_cast<size_t>(dataset.n_units); ++unit) {
    const std::span<const double> losses = std::span(dataset.losses).subspan(unit * width, width);
    sums.push_back(static_cast<double>(dataset.predictions[unit]));
    sums.push_back(losses[0]);
    for (size_t branch = 1; branch < width; ++branch) sums.push_back(losses[branch] - losses[0]);
  }
}

// The units of one or more data sets, each a stratum.
struct Pooled {
  std::string name, why_no_interval;
  std::vector<double> sums;
  std::vector<int64_t> strata;
};

void AddRows(const Pooled& pooled, const Columns& columns, const BootstrapOptions& options,
             ThreadPool& pool, std::vector<AblationRow>& rows) {
  const auto n_columns = static_cast<size_t>(columns.count());
  std::vector<double> totals(n_columns);
  for (size_t i = 0; i < pooled.sums.size(); ++i) totals[i % n_columns] += pooled.sums[i];
  std::vector<Ratio> ratios;
  for (int branch = 0; branch < columns.n_branches; ++branch) {
    ratios.push_back({Columns::OfBranch(branch), Columns::kPredictions});
  }
  std::vector<Interval> intervals;
  if (pooled.why_no_interval.empty()) {
    intervals = BootstrapStratifiedRatios(pooled.sums, columns.count(), pooled.strata, ratios,
                                          KeyOfName("ablation of " + pooled.name), options, pool);
  }
  const double n = totals[Columns::kPredictions];
  for (int branch = 0; branch < columns.n_branches; ++branch) {
    AblationRow& row = rows.emplace_back();
    row.branch = branch;
    row.dataset = pooled.name;
    row.n_units = static_cast<int64_t>(pooled.sums.size() / n_columns);
    row.predictions = static_cast<int64_t>(n);
    row.baseline_loss = totals[Columns::kBaseline] / n;
    row.effect = totals[static_cast<size_t>(Columns::OfBranch(branch))] / n;
    row.loss = row.baseline_loss + row.effect;
    if (!intervals.empty()) row.interval = intervals[static_cast<size_t>(branch)];
    row.why_no_interval = pooled.why_no_interval;
  }
}

}  // namespace

std::vector<AblationRow> AblationTable(const std::vector<AblationDataset>& datasets, int n_branches,
                                       const BootstrapOptions& options, ThreadPool& pool) {
  const Columns columns{n_branches};
  std::vector<AblationRow> rows;
  Pooled all;
  for (const AblationDataset& dataset : datasets) {
    AppendSums(dataset, columns, all.sums);
    all.strata.push_back(dataset.n_units);
    const std::string why = WhyNoInterval(dataset.n_units, dataset.unit_by);
    if (!why.empty() && all.why_no_interval.empty()) {
      all.why_no_interval = "a data set without one: " + dataset.name;
    }
  }
  AddRows(all, columns, options, pool, rows);
  for (const AblationDataset& dataset : datasets) {
    Pooled one = {.name = dataset.name,
                  .why_no_interval = WhyNoInterval(dataset.n_units, dataset.unit_by),
                  .sums = {},
                  .strata = {dataset.n_units}};
    AppendSums(dataset, columns, one.sums);
    AddRows(one, columns, options, pool, rows);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const AblationRow& a, const AblationRow& b) { return a.branch < b.branch; });
  return rows;
}

}  // namespace moescope::study
