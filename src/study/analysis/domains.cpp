#include "study/analysis/domains.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/permutation.h"
#include "study/analysis/unit_counts.h"

namespace moescope::study {
namespace {

constexpr int64_t kPairPermutations = 999;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Units that have rows, data set by data set, and their assignments at one layer.
struct UnitTable {
  int n_datasets = 0;  // those with rows
  int n_experts = 0;
  std::vector<const DatasetInfo*> datasets;
  std::vector<int64_t> strata;   // units of each data set
  std::vector<int32_t> dataset;  // of each unit
  std::vector<double> counts;    // [n_units, n_experts]

  std::span<const double> Row(size_t unit) const {
    return std::span(counts).subspan(unit * n_experts, n_experts);
  }
};

UnitTable MakeUnitTable(const RowColumns& rows, const LayerColumns& layer) {
  UnitTable table;
  table.n_experts = layer.n_experts;
  const std::vector<int32_t> counts = CountInclusions(rows, layer);
  const std::vector<int64_t> n_rows = CountRows(rows);
  for (const DatasetInfo& info : rows.datasets) {
    if (info.n_rows == 0) continue;
    int64_t n_units = 0;
    for (int32_t unit : info.units) {
      if (n_rows[unit] == 0) continue;
      const auto first = counts.begin() + static_cast<int64_t>(unit) * layer.n_experts;
      table.counts.insert(table.counts.end(), first, first + layer.n_experts);
      table.dataset.push_back(table.n_datasets);
      ++n_units;
    }
    table.datasets.push_back(&info);
    table.strata.push_back(n_units);
    ++table.n_datasets;
  }
  return table;
}

// Counts of each data set to shares, in place.
void Normalise(std::span<double> totals, int n_experts) {
  for (size_t at = 0; at < totals.size(); at += n_experts) {
    double sum = 0;
    for (int e = 0; e < n_experts; ++e) sum += totals[at + e];
    for (int e = 0; e < n_experts; ++e) totals[at + e] /= sum;
  }
}

// All distances of one set of totals: n_datasets against the rest, then pairs if asked.
class Distances {
 public:
  Distances(int n_datasets, int n_experts) : n_datasets_(n_datasets), n_experts_(n_experts) {}

  int n_rest() const { return n_datasets_; }
  int n_pairs() const { return n_datasets_ * (n_datasets_ - 1) / 2; }

  void Compute(std::span<const double> totals, bool pairs, std::span<double> out) const {
    std::vector<double> shares(totals.begin(), totals.end());
    Normalise(shares, n_experts_);
    std::vector<double> rest(n_experts_);
    size_t at = 0;
    for (int d = 0; d < n_datasets_; ++d) {
      std::fill(rest.begin(), rest.end(), 0.0);
      for (int other = 0; other < n_datasets_; ++other) {
        if (other == d) continue;
        for (int e = 0; e < n_experts_; ++e) rest[e] += Share(shares, other)[e];
      }
      for (double& share : rest) share /= n_datasets_ - 1;
      out[at++] = JensenShannonDistance(Share(shares, d), rest);
    }
    for (int a = 0; pairs && a < n_datasets_; ++a) {
      for (int b = a + 1; b < n_datasets_; ++b) {
        out[at++] = JensenShannonDistance(Share(shares, a), Share(shares, b));
      }
    }
  }

 private:
  std::span<const double> Share(const std::vector<double>& shares, int dataset) const {
    return std::span(shares).subspan(static_cast<size_t>(dataset) * n_experts_, n_experts_);
  }
  const int n_datasets_, n_experts_;
};

void AddTo(std::span<double> totals, std::span<const double> row) {
  for (size_t e = 0; e < row.size(); ++e) totals[e] += row[e];
}

std::vector<double> TotalsOf(const UnitTable& table, std::span<const int32_t> labels) {
  std::vector<double> totals(static_cast<size_t>(table.n_datasets) * table.n_experts);
  for (size_t unit = 0; unit < labels.size(); ++unit) {
    AddTo(std::span(totals).subspan(static_cast<size_t>(labels[unit]) * table.n_experts,
                                    table.n_experts),
          table.Row(unit));
  }
  return totals;
}

// Distances under permuted labels: [permutations, data sets], and [at most 999, pairs].
struct Permuted {
  std::vector<double> rest, pairs;
};

Permuted PermuteLabels(const UnitTable& table, const LabelPermutations& permutations,
                       const Distances& distances, ThreadPool& pool) {
  const size_t n_rest = distances.n_rest(), n_pairs = distances.n_pairs();
  const int64_t n_paired = std::min(kPairPermutations, permutations.size());
  Permuted permuted;
  permuted.rest.resize(permutations.size() * n_rest);
  permuted.pairs.resize(n_paired * n_pairs);
  constexpr int64_t kPerTask = 32;
  pool.Run((permutations.size() + kPerTask - 1) / kPerTask, [&](int64_t task, int) {
    std::vector<int32_t> labels(table.dataset.size());
    std::vector<double> out(n_rest + n_pairs);
    const int64_t end = std::min(permutations.size(), (task + 1) * kPerTask);
    for (int64_t i = task * kPerTask; i < end; ++i) {
      permutations.Fill(i, labels);
      distances.Compute(TotalsOf(table, labels), i < n_paired, out);
      std::copy_n(out.begin(), n_rest, permuted.rest.begin() + i * n_rest);
      if (i < n_paired) {
        std::copy_n(out.begin() + n_rest, n_pairs, permuted.pairs.begin() + i * n_pairs);
      }
    }
  });
  return permuted;
}

// Mean distance of the halves of a data set whose units begin at `first_unit`.
double SplitHalf(const UnitTable& table, int64_t first_unit, int64_t n_units, int n_splits,
                 Random random) {
  if (n_units < 2 || n_splits < 1) return kNaN;
  std::vector<int64_t> order(n_units);
  double sum = 0;
  for (int split = 0; split < n_splits; ++split) {
    for (int64_t u = 0; u < n_units; ++u) order[u] = first_unit + u;
    std::vector<double> halves(2 * static_cast<size_t>(table.n_experts));
    for (int64_t u = 0; u < n_units; ++u) {
      std::swap(order[u], order[u + random.Below(n_units - u)]);
      const size_t half = u < n_units / 2 ? 0 : 1;
      AddTo(std::span(halves).subspan(half * table.n_experts, table.n_experts),
            table.Row(order[u]));
    }
    Normalise(halves, table.n_experts);
    sum += JensenShannonDistance(std::span(halves).first(table.n_experts),
                                 std::span(halves).last(table.n_experts));
  }
  return sum / n_splits;
}

// Fewer than ten units on either side: no interval.
std::string WhyNoDistanceInterval(const DatasetInfo& info, int64_t n_units,
                                  const std::string& other, int64_t n_other) {
  const std::string why = WhyNoInterval(n_units, info.unit_by);
  if (!why.empty() || n_other >= kMinUnits) return why;
  return fmt::format("{}: {}", other.empty() ? "the rest" : other, WhyNoInterval(n_other, ""));
}

std::string WhyNoP(int64_t n_units, const LabelPermutations& permutations) {
  if (n_units < 2) return fmt::format("{} unit, fewer than 2", n_units);
  if (permutations.n_arrangements() >= kMinArrangements) return "";
  return fmt::format("{} arrangements of labels over units, fewer than {}",
                     permutations.n_arrangements(), kMinArrangements);
}

struct NullSummary {
  double mean = kNaN, upper_95 = kNaN;
};

NullSummary SummariseColumn(const std::vector<double>& values, size_t n_columns, size_t column) {
  std::vector<double> of_column;
  double sum = 0;
  for (size_t at = column; at < values.size(); at += n_columns) {
    if (!std::isfinite(values[at])) return {};
    of_column.push_back(values[at]);
    sum += values[at];
  }
  if (of_column.empty()) return {};
  std::sort(of_column.begin(), of_column.end());
  return {sum / static_cast<double>(of_column.size()), Quantile(of_column, 0.95)};
}

}  // namespace

double JensenShannonDistance(std::span<const double> p, std::span<const double> q) {
  double bits = 0;
  for (size_t e = 0; e < p.size(); ++e) {
    const double middle = (p[e] + q[e]) / 2;
    if (std::isnan(middle)) return middle;
    if (p[e] > 0) bits += p[e] * std::log2(p[e] / middle) / 2;
    if (q[e] > 0) bits += q[e] * std::log2(q[e] / middle) / 2;
  }
  return std::sqrt(std::clamp(bits, 0.0, 1.0));
}

Domains ComputeDomains(const RowColumns& rows, const LayerColumns& layer,
                       const DomainsOptions& options, ThreadPool& pool) {
  const UnitTable table = MakeUnitTable(rows, layer);
  if (table.n_datasets < 2) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot compare data sets: expected two or more with tokens, found {}; "
                            "trace with --data NAME=PATH once for each",
                            table.n_datasets));
  }
  const Distances distances(table.n_datasets, table.n_experts);
  const int n_all = distances.n_rest() + distances.n_pairs();
  std::vector<double> observed(n_all);
  distances.Compute(TotalsOf(table, table.dataset), true, observed);

  const LabelPermutations permutations(table.dataset, table.n_datasets, options.n_permutations,
                                       Combine(options.bootstrap.seed, KeyOfName("domains")));
  const Permuted permuted = PermuteLabels(table, permutations, distances, pool);
  MaxTFamily family(permutations.size(), Sides::kUpper);
  family.Add(std::span(observed).first(distances.n_rest()), permuted.rest);
  const std::vector<PermutedCell> cells = family.Finish();
  const auto statistics = [&](std::span<const double> totals, std::span<double> values) {
    distances.Compute(totals, true, values);
  };
  const std::vector<Interval> intervals =
      BootstrapStatistics(table.counts, table.n_experts, table.strata, n_all, statistics,
                          KeyOfName("domains"), options.bootstrap, pool);

  Domains domains;
  domains.n_permutations = permutations.size();
  domains.is_exact = permutations.is_exact();
  const int64_t n_all_units = static_cast<int64_t>(table.dataset.size());
  const auto add = [&](int dataset, int other, size_t at) -> DomainDistance& {
    DomainDistance& distance = domains.distances.emplace_back();
    distance.dataset = table.datasets[dataset]->name;
    distance.other = other < 0 ? "" : table.datasets[other]->name;
    distance.layer = layer.layer;
    distance.distance = observed[at];
    distance.split_half = distance.p = distance.p_max = kNaN;
    distance.n_units = table.strata[dataset];
    distance.why_no_interval =
        WhyNoDistanceInterval(*table.datasets[dataset], distance.n_units, distance.other,
                              other < 0 ? n_all_units - distance.n_units : table.strata[other]);
    if (distance.why_no_interval.empty() && !intervals.empty()) distance.interval = intervals[at];
    return distance;
  };
  int64_t first_unit = 0;
  for (int d = 0; d < table.n_datasets; ++d) {
    DomainDistance& distance = add(d, -1, d);
    const int64_t n_units = table.strata[d];
    const uint64_t key = Combine(options.bootstrap.seed, KeyOfName(table.datasets[d]->name));
    distance.split_half =
        SplitHalf(table, first_unit, n_units, options.n_splits, Random(Combine(key, 5)));
    first_unit += n_units;
    distance.null_mean = SummariseColumn(permuted.rest, table.n_datasets, d).mean;
    distance.null_95 = cells[d].upper_95;
    distance.why_no_p = WhyNoP(n_units, permutations);
    if (!distance.why_no_p.empty()) continue;
    distance.p = cells[d].p;
    distance.p_max = cells[d].p_max;
  }
  const auto most = std::max_element(observed.begin(), observed.begin() + table.n_datasets);
  domains.distances[most - observed.begin()].most_different = true;
  size_t pair = 0;
  for (int a = 0; a < table.n_datasets; ++a) {
    for (int b = a + 1; b < table.n_datasets; ++b, ++pair) {
      DomainDistance& distance = add(a, b, distances.n_rest() + pair);
      const NullSummary null = SummariseColumn(permuted.pairs, distances.n_pairs(), pair);
      distance.null_mean = null.mean;
      distance.null_95 = null.upper_95;
    }
  }
  return domains;
}

Domains DomainsTable(const store::Run& run, store::Database& database, const RowColumns& rows,
                     const std::vector<int>& layers, const DomainsOptions& options,
                     ThreadPool& pool) {
  Domains all;
  ForEachLayer("domains", run, database, rows, layers, [&](const LayerColumns& layer) {
    Domains one = ComputeDomains(rows, layer, options, pool);
    all.n_permutations = one.n_permutations;
    all.is_exact = one.is_exact;
    std::move(one.distances.begin(), one.distances.end(), std::back_inserter(all.distances));
  });
  return all;
}

}  // namespace moescope::study
