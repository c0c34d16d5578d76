#include "study/analysis/run_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/layer_reals.h"
#include "study/analysis/same_text.h"
#include "study/analysis/unit_strata.h"

namespace moescope::study {
namespace {

constexpr int kAll = -1;  // not one data set but all

// Documents of a data set or of all.
struct Part {
  std::string name;
  int dataset = kAll;
  UnitStrata units;
  std::string unit_by;
};

std::vector<Part> PartsOf(const RowColumns& rows) {
  std::vector<Part> parts(1);
  parts[0].units = StratifyUnits(rows, std::vector<uint8_t>(rows.units.size(), 1));
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    const DatasetInfo& info = rows.datasets[d];
    std::vector<uint8_t> is_used(rows.units.size());
    for (int32_t unit : info.units) is_used[unit] = 1;
    parts.push_back({info.name, static_cast<int>(d), StratifyUnits(rows, is_used), info.unit_by});
  }
  return parts;
}

enum { kDecisions, kSetsChanged, kFirstChanged, kCommon, kSlots, kColumns };

// What one document adds at one layer.
struct DocumentCounts {
  int64_t sums[kColumns] = {};
  std::vector<int64_t> experts_a, experts_b;
};

int CommonExperts(const int16_t* a, const int16_t* b, int n_slots) {
  int common = 0;
  for (int i = 0; i < n_slots; ++i) {
    if (a[i] < 0) continue;
    for (int j = 0; j < n_slots; ++j) common += a[i] == b[j];
  }
  return common;
}

int Chosen(const int16_t* experts, int n_slots) {
  return static_cast<int>(
      std::count_if(experts, experts + n_slots, [](int16_t expert) { return expert >= 0; }));
}

void CountExperts(const LayerColumns& layer, const DocumentRange& document,
                  std::vector<int64_t>& counts) {
  counts.assign(layer.n_experts, 0);
  const int16_t* expert = layer.experts.data() + document.first_row * layer.experts_per_token;
  for (int64_t i = 0; i < document.n_rows * layer.experts_per_token; ++i) {
    if (expert[i] >= 0) ++counts[expert[i]];
  }
}

// A layer of both runs.
struct LayerPair {
  LayerColumns a, b;
  std::vector<uint8_t> changed;  // [n_rows] whether the set did; empty: sets are not compared
};

std::vector<DocumentCounts> CountDocuments(const RowColumns& rows, LayerPair& layers,
                                           bool compare_sets, ThreadPool& pool) {
  std::vector<DocumentCounts> counts(rows.documents.size());
  const int n_slots = layers.a.experts_per_token;
  if (compare_sets) layers.changed.resize(rows.n_rows());
  pool.Run(static_cast<int64_t>(counts.size()), [&](int64_t d, int) {
    const DocumentRange& document = rows.documents[d];
    CountExperts(layers.a, document, counts[d].experts_a);
    CountExperts(layers.b, document, counts[d].experts_b);
    if (!compare_sets) return;
    int64_t* sums = counts[d].sums;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int16_t* a = layers.a.experts.data() + row * n_slots;
      const int16_t* b = layers.b.experts.data() + row * n_slots;
      const int common = CommonExperts(a, b, n_slots);
      const bool changed = common < std::max(Chosen(a, n_slots), Chosen(b, n_slots));
      layers.changed[row] = changed;
      ++sums[kDecisions];
      sums[kSetsChanged] += changed;
      sums[kFirstChanged] += a[0] != b[0];
      sums[kCommon] += common;
      sums[kSlots] += n_slots;
    }
  });
  return counts;
}

double OrNan(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : std::nan("");
}

void AddShares(const Part& part, const RowColumns& rows, const LayerPair& layers,
               const std::vector<DocumentCounts>& counts, DiffCell& cell, RunDiff& diff) {
  const int n_experts = std::max(layers.a.n_experts, layers.b.n_experts);
  std::vector<int64_t> a(n_experts), b(n_experts);
  int64_t total_a = 0, total_b = 0;
  for (size_t d = 0; d < counts.size(); ++d) {
    if (part.dataset != kAll && rows.documents[d].dataset != part.dataset) continue;
    for (size_t e = 0; e < counts[d].experts_a.size(); ++e) {
      a[e] += counts[d].experts_a[e];
      total_a += counts[d].experts_a[e];
    }
    for (size_t e = 0; e < counts[d].experts_b.size(); ++e) {
      b[e] += counts[d].experts_b[e];
      total_b += counts[d].experts_b[e];
    }
  }
  double largest = 0;
  for (int e = 0; e < n_experts; ++e) {
    DiffShare share = {part.name, layers.a.layer, e, std::nan(""), std::nan("")};
    if (e < layers.a.n_experts) share.share_a = OrNan(static_cast<double>(a[e]), total_a);
    if (e < layers.b.n_experts) share.share_b = OrNan(static_cast<double>(b[e]), total_b);
    diff.shares.push_back(share);
    const double change = std::abs(share.share_a - share.share_b);
    if (!(change > largest)) continue;
    largest = change;
    cell.expert = e;
    cell.share_a = share.share_a;
    cell.share_b = share.share_b;
  }
}

void AddDecisions(const Part& part, const RowColumns& rows,
                  const std::vector<DocumentCounts>& counts, const BootstrapOptions& bootstrap,
                  ThreadPool& pool, DiffCell& cell) {
  std::vector<double> sums(static_cast<size_t>(part.units.n_units) * kColumns);
  double totals[kColumns] = {};
  for (size_t d = 0; d < counts.size(); ++d) {
    const int32_t unit = part.units.place[rows.documents[d].unit];
    if (unit < 0) continue;
    for (int column = 0; column < kColumns; ++column) {
      const auto value = static_cast<double>(counts[d].sums[column]);
      sums[static_cast<size_t>(unit) * kColumns + column] += value;
      totals[column] += value;
    }
  }
  cell.decisions = static_cast<int64_t>(totals[kDecisions]);
  cell.sets_changed = static_cast<int64_t>(totals[kSetsChanged]);
  cell.first_changed = static_cast<int64_t>(totals[kFirstChanged]);
  cell.set_change = OrNan(totals[kSetsChanged], totals[kDecisions]);
  cell.first_change = OrNan(totals[kFirstChanged], totals[kDecisions]);
  cell.saturation = OrNan(totals[kCommon], totals[kSlots]);
  const Ratio ratios[] = {
      {kSetsChanged, kDecisions}, {kFirstChanged, kDecisions}, {kCommon, kSlots}};
  const auto intervals = BootstrapStratifiedRatios(sums, kColumns, part.units.strata, ratios,
                                                   KeyOfName(part.name), bootstrap, pool);
  if (intervals.empty()) return;
  cell.set_change_interval = intervals[0];
  cell.first_change_interval = intervals[1];
  cell.saturation_interval = intervals[2];
}

MarginQuantiles QuantilesOf(std::vector<double>& values) {
  MarginQuantiles quantiles;
  quantiles.fill(std::nan(""));
  if (values.empty()) return quantiles;
  std::sort(values.begin(), values.end());
  for (size_t q = 0; q < quantiles.size(); ++q) {
    quantiles[q] = Quantile(values, kMarginQuantiles[q]);
  }
  return quantiles;
}

void AddMargins(const Part& part, const RowColumns& rows, const std::vector<uint8_t>& changed,
                const std::vector<float>& margins, DiffCell& cell) {
  std::vector<double> moved, kept;
  for (const DocumentRange& document : rows.documents) {
    if (part.dataset != kAll && document.dataset != part.dataset) continue;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      if (!std::isfinite(margins[row])) continue;
      (changed[row] ? moved : kept).push_back(double{margins[row]});
    }
  }
  cell.margin_changed = QuantilesOf(moved);
  cell.margin_kept = QuantilesOf(kept);
  cell.largest_changed_margin = moved.empty() ? std::nan("") : moved.back();
  const auto below = static_cast<double>(
      std::upper_bound(kept.begin(), kept.end(), cell.largest_changed_margin) - kept.begin());
  cell.kept_below =
      moved.empty() ? std::nan("") : below / (below + static_cast<double>(moved.size()));
}

std::string WhyNoDecisions(const store::RunDescription& a, const store::RunDescription& b) {
  const auto differ = [](const char* what, int64_t x, int64_t y) {
    return fmt::format("{}: {} and {}", what, x, y);
  };
  if (a.is_dense() || b.is_dense()) return "a run is of a dense model";
  if (a.LayerNumbers() != b.LayerNumbers()) return differ("layers", a.n_layers, b.n_layers);
  if (a.n_experts != b.n_experts) return differ("experts", a.n_experts, b.n_experts);
  if (a.experts_per_token != b.experts_per_token) {
    return differ("experts per token", a.experts_per_token, b.experts_per_token);
  }
  return "";
}

std::vector<DiffLoss> CompareLosses(const std::vector<Part>& parts, const RowColumns& rows,
                                    const std::vector<DocumentLosses>& losses,
                                    const BootstrapOptions& bootstrap, ThreadPool& pool) {
  enum { kPredictions, kDifference, kLossColumns };
  std::vector<DiffLoss> result;
  for (const Part& part : parts) {
    std::vector<double> sums(static_cast<size_t>(part.units.n_units) * kLossColumns);
    DocumentLosses total;
    for (size_t d = 0; d < losses.size(); ++d) {
      const int32_t unit = part.units.place[rows.documents[d].unit];
      if (unit < 0) continue;
      total.predictions += losses[d].predictions;
      total.loss_a += losses[d].loss_a;
      total.loss_b += losses[d].loss_b;
      double* of_unit = sums.data() + static_cast<size_t>(unit) * kLossColumns;
      of_unit[kPredictions] += static_cast<double>(losses[d].predictions);
      of_unit[kDifference] += losses[d].loss_b - losses[d].loss_a;
    }
    DiffLoss& loss = result.emplace_back();
    loss.dataset = part.name;
    loss.predictions = total.predictions;
    loss.loss_a = OrNan(total.loss_a, static_cast<double>(total.predictions));
    loss.loss_b = OrNan(total.loss_b, static_cast<double>(total.predictions));
    loss.difference = OrNan(total.loss_b - total.loss_a, static_cast<double>(total.predictions));
    loss.n_units = part.units.n_units;
    loss.why_no_interval = WhyNoInterval(loss.n_units, part.unit_by);
    const Ratio ratio = {kDifference, kPredictions};
    const auto intervals = BootstrapStratifiedRatios(
        sums, kLossColumns, part.units.strata, {&ratio, 1}, KeyOfName(part.name), bootstrap, pool);
    if (!intervals.empty() && total.predictions > 0) loss.interval = intervals[0];
  }
  return result;
}

}  // namespace

RunDiff DiffRuns(const OpenRun& a, const OpenRun& b, const RowColumns& rows,
                 const std::vector<int>& layers, const BootstrapOptions& bootstrap,
                 ThreadPool& pool) {
  const store::RunDescription& of_a = a.run.description();
  const store::RunDescription& of_b = b.run.description();
  for (const OpenRun* open : {&a, &b}) {
    if (open->run.description().vocab_size > 0) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot compare {}: expected token ids, found routes imported without "
                            "them: nothing says that both runs are of the same text",
                            open->run.directory()));
  }
  RunDiff diff;
  const std::vector<Part> parts = PartsOf(rows);
  const std::vector<DocumentLosses> losses = CompareTexts(a, b, rows);
  if (of_a.has_losses && of_b.has_losses) {
    diff.losses = CompareLosses(parts, rows, losses, bootstrap, pool);
  }
  diff.why_no_decisions = WhyNoDecisions(of_a, of_b);
  if (of_a.is_dense() || of_b.is_dense()) return diff;
  const bool compare_sets = diff.why_no_decisions.empty();
  const std::vector<int> numbers_b = of_b.LayerNumbers();
  for (int number : layers.empty() ? of_a.LayerNumbers() : layers) {
    if (!std::binary_search(numbers_b.begin(), numbers_b.end(), number)) continue;
    LayerPair pair = {
        LoadLayer(a.run, a.database, rows, number), LoadLayer(b.run, b.database, rows, number), {}};
    const auto counts = CountDocuments(rows, pair, compare_sets, pool);
    std::vector<float> margins;
    if (compare_sets) margins = LoadLayerReals(a.run, a.database, rows, number, {"margin"});
    for (const Part& part : parts) {
      DiffCell& cell = diff.cells.emplace_back();
      cell.dataset = part.name;
      cell.layer = number;
      cell.n_units = part.units.n_units;
      cell.why_no_interval = WhyNoInterval(cell.n_units, part.unit_by);
      AddShares(part, rows, pair, counts, cell, diff);
      if (!compare_sets) continue;
      AddDecisions(part, rows, counts, bootstrap, pool, cell);
      AddMargins(part, rows, pair.changed, margins, cell);
    }
  }
  return diff;
}

}  // namespace moescope::study
