#include "study/analysis/coactivation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"

namespace moescope::study {
namespace {

// Columns of a unit's sums: rows of each expert, then unordered pairs.
struct Layout {
  int n_experts = 0;
  int n_columns() const { return n_experts + n_experts * (n_experts - 1) / 2; }
  int Pair(int a, int b) const {
    if (a > b) std::swap(a, b);
    return n_experts + a * (2 * n_experts - a - 1) / 2 + (b - a - 1);
  }
};

void CountRow(std::span<const int16_t> experts, const Layout& layout, bool as_published,
              int64_t* sums) {
  for (size_t i = 0; i < experts.size(); ++i) {
    if (experts[i] < 0) continue;
    ++sums[experts[i]];
    const size_t end = as_published ? std::min(i + 2, experts.size()) : experts.size();
    for (size_t j = i + 1; j < end; ++j) {
      if (experts[j] >= 0 && experts[j] != experts[i]) ++sums[layout.Pair(experts[i], experts[j])];
    }
  }
}

void CountDocument(const DocumentRange& document, const LayerColumns& layer, const Layout& layout,
                   bool as_published, int64_t* sums) {
  const int n_slots = layer.experts_per_token;
  for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
    CountRow(std::span(layer.experts).subspan(row * n_slots, n_slots), layout, as_published, sums);
  }
}

void AddIntervals(const RowColumns& rows, const DatasetInfo& info, const LayerColumns& layer,
                  const Layout& layout, const CoactivationOptions& options, ThreadPool& pool,
                  CoactivationCell& cell) {
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  if (!cell.why_no_interval.empty()) return;
  if (layer.n_experts > kMaxExpertsForPairIntervals) {
    cell.why_no_interval =
        fmt::format("pairs of more than {} experts", kMaxExpertsForPairIntervals);
    return;
  }
  std::vector<int32_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < info.units.size(); ++u) place[info.units[u]] = static_cast<int32_t>(u);
  std::vector<int64_t> counts(info.units.size() * layout.n_columns());
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    CountDocument(document, layer, layout, options.as_published,
                  counts.data() + static_cast<size_t>(place[document.unit]) * layout.n_columns());
  }
  const std::vector<double> sums(counts.begin(), counts.end());
  std::vector<Ratio> ratios;
  for (const CoactivationPair& pair : cell.pairs) {
    ratios.push_back({layout.Pair(pair.expert, pair.other), pair.expert});
  }
  const auto intervals = BootstrapRatios(sums, layout.n_columns(), ratios, KeyOfName(info.name),
                                         options.bootstrap, pool);
  for (size_t p = 0; p < intervals.size(); ++p) {
    if (std::isfinite(intervals[p].low)) cell.pairs[p].interval = intervals[p];
  }
}

CoactivationCell CellOf(const RowColumns& rows, const DatasetInfo& info, const LayerColumns& layer,
                        const CoactivationOptions& options, ThreadPool& pool) {
  const Layout layout = {layer.n_experts};
  std::vector<int64_t> sums(layout.n_columns());
  for (int32_t d : info.documents) {
    CountDocument(rows.documents[d], layer, layout, options.as_published, sums.data());
  }
  CoactivationCell cell;
  cell.dataset = info.name;
  cell.layer = layer.layer;
  cell.n_experts = layer.n_experts;
  cell.rows = info.n_rows;
  cell.n_units = static_cast<int64_t>(info.units.size());
  cell.chosen.assign(sums.begin(), sums.begin() + layer.n_experts);
  std::vector<double> totals(layer.n_experts);
  for (int a = 0; a < layer.n_experts; ++a) {
    for (int b = 0; b < layer.n_experts; ++b) {
      if (a != b) totals[a] += static_cast<double>(sums[layout.Pair(a, b)]);
    }
  }
  const std::vector<double> expected = QuasiIndependentPairs(totals);
  for (int a = 0; a < layer.n_experts; ++a) {
    const double n = cell.chosen[a] > 0 ? static_cast<double>(cell.chosen[a]) : std::nan("");
    for (int b = 0; b < layer.n_experts; ++b) {
      if (a == b) continue;
      CoactivationPair& pair = cell.pairs.emplace_back();
      pair.expert = a;
      pair.other = b;
      pair.together = sums[layout.Pair(a, b)];
      pair.share = static_cast<double>(pair.together) / n;
      pair.expected = expected[static_cast<size_t>(a) * layer.n_experts + b] / n;
    }
  }
  AddIntervals(rows, info, layer, layout, options, pool, cell);
  return cell;
}

}  // namespace

std::vector<double> QuasiIndependentPairs(const std::vector<double>& totals) {
  constexpr int kMaxIterations = 1000;
  const size_t n = totals.size();
  const double all = std::accumulate(totals.begin(), totals.end(), 0.0);
  std::vector<double> pairs(n * n);
  if (!(all > 0)) return pairs;
  std::vector<double> x(n);
  for (size_t a = 0; a < n; ++a) x[a] = totals[a] / std::sqrt(all);
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    double worst = 0;
    for (size_t a = 0; a < n; ++a) {
      if (totals[a] == 0) continue;
      double others = 0;
      for (size_t b = 0; b < n; ++b) others += b == a ? 0 : x[b];
      worst = std::max(worst, std::abs(x[a] * others / totals[a] - 1));
      if (others > 0) x[a] = totals[a] / others;
    }
    if (worst < 1e-9) break;
  }
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < n; ++b) pairs[a * n + b] = a == b ? 0 : x[a] * x[b];
  }
  return pairs;
}

std::vector<CoactivationCell> ComputeCoactivation(const RowColumns& rows, const LayerColumns& layer,
                                                  const CoactivationOptions& options,
                                                  ThreadPool& pool) {
  std::vector<CoactivationCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    cells.push_back(CellOf(rows, info, layer, options, pool));
  }
  return cells;
}

std::vector<CoactivationCell> CoactivationTable(const store::Run& run, store::Database& database,
                                                const RowColumns& rows,
                                                const std::vector<int>& layers,
                                                const CoactivationOptions& options,
                                                ThreadPool& pool) {
  RequireRoutes(run);
  if (run.description().experts_per_token < 2) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: its tokens choose one expert each, so none are chosen together",
                            run.directory()));
  }
  return LayerTable("co-activation", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeCoactivation(rows, layer, options, pool);
  });
}

}  // namespace moescope::study
