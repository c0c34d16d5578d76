// Units are dealt into four parts. Parts of one parity fit, those of the other are held out, and
// then the other way round; within the fitting parts, each checks the other's shrinkage and
// weights.
#include "study/analysis/explained.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/log_linear_pool.h"
#include "study/analysis/unit_arms.h"
#include "study/analysis/unit_split.h"

namespace moescope::study {
namespace {

constexpr int kParts = 4;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Imagined rows with the base shares that each value of a predictor starts with.
constexpr std::array<double, 6> kShrinkages = {1, 8, 64, 512, 4096, 32768};

// Rows of each part that weights are fitted on: a handful of weights needs no more.
constexpr int64_t kFittedRows = 8192;

// The two parts that fit while parts of parity `fold` are held out.
int FittingPart(int fold, int which) {
  return 2 * which + 1 - fold;
}

// First choices by part and value: [part, value, expert].
struct Counts {
  size_t n_values = 0;
  int n_experts = 0;
  std::vector<int32_t> counts;
  const int32_t* Of(int part, size_t value) const {
    return counts.data() + (part * n_values + value) * n_experts;
  }
};

Counts CountChoices(const LayerColumns& layer, const std::vector<int32_t>& values, int64_t n_values,
                    const std::vector<uint8_t>& part_of_row) {
  Counts counts = {static_cast<size_t>(n_values), layer.n_experts, {}};
  counts.counts.resize(kParts * counts.n_values * layer.n_experts);
  const int n_slots = layer.experts_per_token;
  for (size_t row = 0; row < part_of_row.size(); ++row) {
    const int16_t first = layer.experts[row * n_slots];
    if (first < 0) continue;
    ++counts.counts[(part_of_row[row] * counts.n_values + values[row]) * layer.n_experts + first];
  }
  return counts;
}

// Shares without predictors of the parts given, half a row added to each expert.
std::vector<double> BaseShares(const Counts& counts, std::span<const int> parts) {
  std::vector<double> shares(counts.n_experts, 0.5);
  for (int part : parts) {
    for (size_t value = 0; value < counts.n_values; ++value) {
      for (int e = 0; e < counts.n_experts; ++e) shares[e] += counts.Of(part, value)[e];
    }
  }
  double sum = 0;
  for (double share : shares) sum += share;
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<float> Logarithms(const std::vector<double>& shares) {
  std::vector<float> logs;
  for (double share : shares) logs.push_back(static_cast<float>(std::log(share)));
  return logs;
}

// Loss on the rows of part `on` of the shares that part `from` gives each value.
double ShrunkLoss(const Counts& counts, int from, int on, std::span<const double> base,
                  double shrinkage) {
  double loss = 0;
  for (size_t value = 0; value < counts.n_values; ++value) {
    const int32_t* fitted = counts.Of(from, value);
    const int32_t* checked = counts.Of(on, value);
    double n_fitted = 0, n_checked = 0;
    for (int e = 0; e < counts.n_experts; ++e) n_fitted += fitted[e], n_checked += checked[e];
    if (n_checked == 0) continue;
    for (int e = 0; e < counts.n_experts; ++e) {
      if (checked[e] == 0) continue;
      loss -= checked[e] * std::log((fitted[e] + shrinkage * base[e]) / (n_fitted + shrinkage));
    }
  }
  return loss;
}

// ln(shrunk share / base share) of every value and expert: [value, expert].
std::vector<float> Lifts(const Counts& counts, std::span<const int> parts,
                         std::span<const double> base, double shrinkage) {
  std::vector<float> lifts(counts.n_values * counts.n_experts);
  std::vector<double> here(counts.n_experts);
  for (size_t value = 0; value < counts.n_values; ++value) {
    double n = 0;
    std::fill(here.begin(), here.end(), 0.0);
    for (int part : parts) {
      for (int e = 0; e < counts.n_experts; ++e) {
        here[e] += counts.Of(part, value)[e];
        n += counts.Of(part, value)[e];
      }
    }
    if (n == 0) continue;
    for (int e = 0; e < counts.n_experts; ++e) {
      lifts[value * counts.n_experts + e] = static_cast<float>(
          std::log((here[e] + shrinkage * base[e]) / ((n + shrinkage) * base[e])));
    }
  }
  return lifts;
}

// One predictor, or its permutation, while one fold is held out.
struct Table {
  std::vector<float> inner[2];  // lifts of either fitting part alone
  std::vector<float> lifts;     // of both
};

// Base shares, as tables.
struct Base {
  std::vector<double> inner[2], shares;
  std::vector<float> log_inner[2], log_shares;
};

Base MakeBase(const Counts& any, int fold) {
  const int parts[2] = {FittingPart(fold, 0), FittingPart(fold, 1)};
  Base base;
  for (int which = 0; which < 2; ++which) {
    base.inner[which] = BaseShares(any, std::span(parts).subspan(which, 1));
    base.log_inner[which] = Logarithms(base.inner[which]);
  }
  base.shares = BaseShares(any, parts);
  base.log_shares = Logarithms(base.shares);
  return base;
}

Table FitTable(const Counts& counts, const Base& base, int fold) {
  const int parts[2] = {FittingPart(fold, 0), FittingPart(fold, 1)};
  double best = HUGE_VAL, shrinkage = kShrinkages[0];
  for (double candidate : kShrinkages) {
    double loss = 0;
    for (int which = 0; which < 2; ++which) {
      loss += ShrunkLoss(counts, parts[which], parts[1 - which], base.inner[which], candidate);
    }
    if (loss < best) best = loss, shrinkage = candidate;
  }
  Table table;
  for (int which = 0; which < 2; ++which) {
    table.inner[which] =
        Lifts(counts, std::span(parts).subspan(which, 1), base.inner[which], shrinkage);
  }
  table.lifts = Lifts(counts, parts, base.shares, shrinkage);
  return table;
}

// The models compared: all predictors; for each, all others; for each, all with it permuted. Lift
// i of a row is predictor i, lift n + i its permutation.
std::vector<LiftPool> Models(int n) {
  std::vector<LiftPool> models(1 + 2 * n);
  for (int i = 0; i < n; ++i) {
    models[0].lifts.push_back(i);
    for (int j = 0; j < n; ++j) {
      if (j != i) models[1 + i].lifts.push_back(j);
      models[1 + n + i].lifts.push_back(j == i ? n + j : j);
    }
  }
  return models;
}

class LayerFit {
 public:
  LayerFit(const RowColumns& rows, const std::vector<Predictor>& predictors,
           const LayerColumns& layer, const std::vector<uint8_t>& part_of_row, ThreadPool& pool)
      : rows_(rows),
        predictors_(predictors),
        layer_(layer),
        part_of_row_(part_of_row),
        pool_(pool),
        n_(static_cast<int>(predictors.size())),
        counts_(2 * predictors.size()),
        n_columns_(2 + 4 * n_) {
    pool_.Run(2 * n_, [&](int64_t t, int) {
      counts_[t] = CountChoices(layer_, Values(t), predictors_[t % n_].n_values, part_of_row_);
    });
  }

  // Columns of a document's sums, for Ratio: CE(e), rows, then what is saved by each predictor
  // first, its permutation first, it last, its permutation last, and all.
  int n_columns() const { return n_columns_ + 1; }
  static constexpr int kLoss = 0, kRows = 1;
  int First(int i, bool permuted) const { return 2 + (permuted ? n_ : 0) + i; }
  int Last(int i, bool permuted) const { return 2 + (permuted ? 3 : 2) * n_ + i; }
  int All() const { return n_columns_; }

  // Adds the losses of the held-out rows of one fold to sums [documents, n_columns()].
  void AddFold(int fold, std::vector<double>& sums) {
    const Base base = MakeBase(counts_[0], fold);
    std::vector<Table> tables(2 * n_);
    pool_.Run(2 * n_, [&](int64_t t, int) { tables[t] = FitTable(counts_[t], base, fold); });
    std::vector<LiftPool> models = Models(n_);
    const std::vector<PooledRow> fitted = RowsToFit(fold, base, tables);
    pool_.Run(static_cast<int64_t>(models.size()),
              [&](int64_t m, int) { FitWeights(fitted, layer_.n_experts, models[m]); });
    pool_.Run(static_cast<int64_t>(rows_.documents.size()), [&](int64_t d, int) {
      const DocumentRange& document = rows_.documents[d];
      if (document.n_rows == 0 || part_of_row_[document.first_row] % 2 != fold) return;
      AddDocument(document, base, tables, models,
                  std::span(sums).subspan(d * n_columns(), n_columns()));
    });
  }

 private:
  const std::vector<int32_t>& Values(int64_t t) const {
    return t < n_ ? predictors_[t].value : predictors_[t - n_].permuted;
  }

  // Rows of each fitting part, spread evenly, with the lifts of the other part.
  std::vector<PooledRow> RowsToFit(int fold, const Base& base,
                                   const std::vector<Table>& tables) const {
    std::vector<PooledRow> fitted;
    for (int which = 0; which < 2; ++which) {
      const int part = FittingPart(fold, 1 - which);
      const int64_t n_in_part = std::count(part_of_row_.begin(), part_of_row_.end(), part);
      const int64_t step = n_in_part / kFittedRows + 1;
      int64_t at = 0;
      for (int64_t row = 0; row < rows_.n_rows(); ++row) {
        if (part_of_row_[row] != part || at++ % step != 0) continue;
        const int16_t first = layer_.experts[row * layer_.experts_per_token];
        if (first < 0) continue;
        PooledRow& pooled = fitted.emplace_back();
        pooled.log_base = base.log_inner[which].data();
        pooled.expert = first;
        for (int t = 0; t < 2 * n_; ++t) {
          pooled.lifts[t] = Lift(tables[t].inner[which], t, row);
        }
      }
    }
    return fitted;
  }

  const float* Lift(const std::vector<float>& lifts, int t, int64_t row) const {
    return lifts.data() + static_cast<size_t>(Values(t)[row]) * layer_.n_experts;
  }

  void AddDocument(const DocumentRange& document, const Base& base,
                   const std::vector<Table>& tables, const std::vector<LiftPool>& models,
                   std::span<double> sums) const {
    std::vector<float> odds(layer_.n_experts);
    std::vector<double> losses(models.size());
    PooledRow pooled;
    pooled.log_base = base.log_shares.data();
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      pooled.expert = layer_.experts[row * layer_.experts_per_token];
      if (pooled.expert < 0) continue;
      for (int t = 0; t < 2 * n_; ++t) {
        pooled.lifts[t] = Lift(tables[t].lifts, t, row);
        sums[First(t % n_, t >= n_)] += pooled.lifts[t][pooled.expert];
      }
      for (size_t m = 0; m < models.size(); ++m) {
        losses[m] = PooledLoss(models[m], pooled, odds);
      }
      const double loss = -pooled.log_base[pooled.expert];
      sums[kLoss] += loss;
      sums[kRows] += 1;
      sums[All()] += loss - losses[0];
      for (int i = 0; i < n_; ++i) {
        sums[Last(i, false)] += losses[1 + i] - losses[0];
        sums[Last(i, true)] += losses[1 + i] - losses[1 + n_ + i];
      }
    }
  }

  const RowColumns& rows_;
  const std::vector<Predictor>& predictors_;
  const LayerColumns& layer_;
  const std::vector<uint8_t>& part_of_row_;
  ThreadPool& pool_;
  const int n_;
  std::vector<Counts> counts_;  // predictors, then their permutations
  const int n_columns_;
};

std::vector<uint8_t> PartOfRows(const RowColumns& rows, uint64_t seed) {
  const std::vector<uint8_t> part_of_unit = SplitUnits(rows, kParts, seed);
  std::vector<uint8_t> part;
  part.reserve(rows.n_rows());
  for (const DocumentRange& document : rows.documents) {
    part.insert(part.end(), document.n_rows, part_of_unit[document.unit]);
  }
  return part;
}

// [units of arms, columns], documents added in order.
std::vector<double> SumByUnit(const RowColumns& rows, const UnitArms& units,
                              const std::vector<double>& of_document, int n_columns) {
  std::vector<int64_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < units.units.size(); ++u) place[units.units[u]] = static_cast<int64_t>(u);
  std::vector<double> sums(units.units.size() * n_columns);
  for (size_t d = 0; d < rows.documents.size(); ++d) {
    const int64_t unit = place[rows.documents[d].unit];
    for (int c = 0; unit >= 0 && c < n_columns; ++c) {
      sums[unit * n_columns + c] += of_document[d * n_columns + c];
    }
  }
  return sums;
}

std::string WhyNoValue(int64_t n_units) {
  if (n_units >= kMinHeldOutUnits) return "";
  return fmt::format("{} unit{}, fewer than {}: none can be held out", n_units,
                     n_units == 1 ? "" : "s", kMinHeldOutUnits);
}

}  // namespace

std::vector<ExplainedShare> ComputeExplained(const RowColumns& rows,
                                             const std::vector<Predictor>& predictors,
                                             const LayerColumns& layer,
                                             const BootstrapOptions& options, ThreadPool& pool) {
  const int n = static_cast<int>(predictors.size());
  const std::vector<Arm> everywhere(rows.datasets.size(), Arm::kRest);
  const UnitArms units = MakeUnitArms(rows, everywhere, {});
  const int64_t n_units = static_cast<int64_t>(units.units.size());
  std::vector<ExplainedShare> shares(n + 1);
  for (int i = 0; i <= n; ++i) {
    ExplainedShare& share = shares[i];
    share.layer = layer.layer;
    share.predictor = i < n ? predictors[i].name : "all";
    share.n_values = i < n ? predictors[i].n_values : 0;
    share.first = share.last = share.first_null = share.last_null = share.bits = kNaN;
    share.n_units = n_units;
    share.why_no_value = WhyNoValue(n_units);
    share.why_no_interval = WhyNoInterval(n_units, "");
  }
  if (n_units < kMinHeldOutUnits) return shares;

  const std::vector<uint8_t> part_of_row = PartOfRows(rows, options.seed);
  LayerFit fit(rows, predictors, layer, part_of_row, pool);
  const int n_columns = fit.n_columns();
  std::vector<double> of_document(rows.documents.size() * n_columns);
  for (int fold = 0; fold < 2; ++fold) fit.AddFold(fold, of_document);
  const std::vector<double> sums = SumByUnit(rows, units, of_document, n_columns);
  std::vector<double> totals(n_columns);
  for (size_t i = 0; i < sums.size(); ++i) totals[i % n_columns] += sums[i];

  std::vector<Ratio> ratios;
  for (int i = 0; i < n; ++i) {
    ratios.push_back({fit.First(i, false), LayerFit::kLoss});
    ratios.push_back({fit.Last(i, false), LayerFit::kLoss});
  }
  ratios.push_back({fit.All(), LayerFit::kLoss});
  const std::vector<Interval> intervals = BootstrapStratifiedRatios(
      sums, n_columns, units.strata, ratios, KeyOfName("explained"), options, pool);
  const auto of_loss = [&](int column) { return totals[column] / totals[LayerFit::kLoss]; };
  for (int i = 0; i <= n; ++i) {
    ExplainedShare& share = shares[i];
    share.bits = totals[LayerFit::kLoss] / totals[LayerFit::kRows] / std::numbers::ln2;
    share.n_rows = static_cast<int64_t>(totals[LayerFit::kRows]);
    share.first = of_loss(i < n ? fit.First(i, false) : fit.All());
    share.last = of_loss(i < n ? fit.Last(i, false) : fit.All());
    if (i < n) share.first_null = of_loss(fit.First(i, true));
    if (i < n) share.last_null = of_loss(fit.Last(i, true));
    if (intervals.empty()) continue;
    share.first_interval = intervals[2 * i];
    share.last_interval = intervals[i < n ? 2 * i + 1 : 2 * i];
  }
  return shares;
}

std::vector<ExplainedShare> ExplainedTable(const store::Run& run, store::Database& database,
                                           const RowColumns& rows, const std::vector<int>& layers,
                                           const BootstrapOptions& options, ThreadPool& pool) {
  RequireRoutes(run);
  const std::vector<Predictor> predictors = MakePredictors(rows, options.seed);
  return LayerTable("explaining", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeExplained(rows, predictors, layer, options, pool);
  });
}

}  // namespace moescope::study
