#include "study/simulate/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/unit_split.h"
#include "study/simulate/batch_loads.h"

namespace moescope::study {
namespace {

// Where placements come from in a fold's list: random ones follow.
enum { kExperts, kEplb, kNaive, kRandom, kPlacementKinds };
constexpr std::array kPlacementNames = {"experts", "eplb", "naive", "random"};

// One half of the units to measure on, and placements made for the load of the other.
struct Fold {
  std::vector<int64_t> rows, shuffled_rows;
  std::vector<std::vector<int>> placements;  // [kRandom + n_random]; the first, of experts, empty
};

bool IsIn(const PlacementOptions& options, const DocumentRange& document) {
  return options.dataset < 0 || document.dataset == options.dataset;
}

std::vector<double> LoadOf(const LayerColumns& layer, std::span<const int64_t> rows) {
  std::vector<double> load(static_cast<size_t>(layer.n_experts));
  for (int64_t row : rows) {
    for (int slot = 0; slot < layer.experts_per_token; ++slot) {
      const int16_t expert =
          layer.experts[static_cast<size_t>(row * layer.experts_per_token + slot)];
      if (expert >= 0) ++load[static_cast<size_t>(expert)];
    }
  }
  return load;
}

// The rows of each half, in the order of the run; with a single unit all rows are one half.
std::vector<std::vector<int64_t>> RowsByHalf(const RowColumns& rows,
                                             const PlacementOptions& options) {
  const std::vector<uint8_t> half = SplitUnits(rows, 2, options.seed);
  std::vector<std::vector<int64_t>> halves(2);
  for (const DocumentRange& document : rows.documents) {
    if (!IsIn(options, document)) continue;
    auto& list = halves[half[static_cast<size_t>(document.unit)]];
    for (int64_t row = 0; row < document.n_rows; ++row) list.push_back(document.first_row + row);
  }
  if (halves[0].empty()) std::swap(halves[0], halves[1]);
  if (halves[1].empty()) halves.pop_back();
  return halves;
}

std::vector<Fold> MakeFolds(std::vector<std::vector<int64_t>> halves, const LayerColumns& layer,
                            const PlacementOptions& options) {
  std::vector<Fold> folds(halves.size());
  for (size_t f = 0; f < folds.size(); ++f) {
    Fold& fold = folds[f];
    const auto load = LoadOf(layer, halves[halves.size() - 1 - f]);
    fold.placements = {
        {}, PlaceBalanced(load, options.cluster), PlaceInOrder(layer.n_experts, options.cluster)};
    for (int r = 0; r < options.n_random; ++r) {
      const uint64_t key = Combine(Combine(options.seed, 11), static_cast<uint64_t>(r));
      fold.placements.push_back(PlaceAtRandom(layer.n_experts, options.cluster, key));
    }
  }
  for (size_t f = 0; f < folds.size(); ++f) {
    folds[f].rows = std::move(halves[f]);
    folds[f].shuffled_rows = folds[f].rows;
    auto& rows = folds[f].shuffled_rows;
    Random random(Combine(Combine(options.seed, 12), f));
    for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.Below(i)]);
  }
  return folds;
}

// Everything measured on one kind of batches of one trace.
struct Measured {
  std::vector<LoadSums> loads;       // [kRandom + n_random]
  std::vector<RefusedSums> refused;  // [capacities]
};

Measured Measure(const Fold& fold, const LayerColumns& layer, BatchKind kind, bool shuffled,
                 const PlacementOptions& options) {
  const Batches batches = {shuffled ? fold.shuffled_rows : fold.rows, kind, options.batch};
  Measured measured;
  measured.loads.push_back(ExpertLoads(layer, batches));
  for (size_t p = kEplb; p < fold.placements.size(); ++p) {
    measured.loads.push_back(GpuLoads(layer, batches, fold.placements[p], options.cluster));
  }
  for (double capacity : options.capacities) {
    measured.refused.push_back(RefusedByCapacity(layer, batches, capacity));
  }
  return measured;
}

void Add(const Measured& from, Measured& to) {
  to.loads.resize(from.loads.size());
  to.refused.resize(from.refused.size());
  for (size_t p = 0; p < from.loads.size(); ++p) {
    const LoadSums& loads = from.loads[p];
    LoadSums& sums = to.loads[p];
    sums.imbalances.insert(sums.imbalances.end(), loads.imbalances.begin(), loads.imbalances.end());
    sums.assignments += loads.assignments;
    sums.leave_gpu += loads.leave_gpu;
    sums.leave_node += loads.leave_node;
  }
  for (size_t c = 0; c < from.refused.size(); ++c) {
    to.refused[c].assignments += from.refused[c].assignments;
    to.refused[c].dropped += from.refused[c].dropped;
    to.refused[c].rerouted += from.refused[c].rerouted;
    to.refused[c].lost += from.refused[c].lost;
  }
}

double MeanOf(std::span<const double> values) {
  return values.empty() ? std::nan("")
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

double ShareOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : std::nan("");
}

// Over the batches of all placements of a kind together.
LoadSummary Summarise(std::span<const LoadSums> placements, const PlacementOptions& options) {
  LoadSums all;
  for (const LoadSums& loads : placements) {
    all.imbalances.insert(all.imbalances.end(), loads.imbalances.begin(), loads.imbalances.end());
    all.assignments += loads.assignments;
    all.leave_gpu += loads.leave_gpu;
    all.leave_node += loads.leave_node;
  }
  LoadSummary summary;
  summary.mean = MeanOf(all.imbalances);
  std::sort(all.imbalances.begin(), all.imbalances.end());
  const bool any = !all.imbalances.empty();
  summary.p95 = any ? Quantile(all.imbalances, 0.95) : std::nan("");
  summary.max = any ? all.imbalances.back() : std::nan("");
  for (double capacity : options.capacities) {
    const auto at = std::upper_bound(all.imbalances.begin(), all.imbalances.end(), capacity);
    summary.over.push_back(
        ShareOf(all.imbalances.end() - at, static_cast<int64_t>(all.imbalances.size())));
  }
  summary.leaves_gpu = ShareOf(all.leave_gpu, all.assignments);
  summary.leaves_node = ShareOf(all.leave_node, all.assignments);
  return summary;
}

Refused SharesOf(const RefusedSums& sums) {
  return {ShareOf(sums.dropped, sums.assignments), ShareOf(sums.rerouted, sums.assignments),
          ShareOf(sums.lost, sums.assignments)};
}

void Report(int layer, BatchKind kind, const Measured& observed, const Measured& shuffled,
            const PlacementOptions& options, PlacementResult& result) {
  const size_t n_random = static_cast<size_t>(options.n_random);
  for (size_t p = 0; p < kPlacementKinds; ++p) {
    const size_t n = p == kRandom ? n_random : 1;
    const auto of_kind = std::span(observed.loads).subspan(p, n);
    PlacementCell cell;
    cell.layer = layer;
    cell.kind = kind;
    cell.placement = kPlacementNames[p];
    cell.n_placements = static_cast<int>(n);
    cell.n_batches = static_cast<int64_t>(of_kind.front().imbalances.size());
    cell.observed = Summarise(of_kind, options);
    cell.shuffled = Summarise(std::span(shuffled.loads).subspan(p, n), options);
    std::vector<double> means;
    for (const LoadSums& loads : of_kind) means.push_back(MeanOf(loads.imbalances));
    cell.lowest_mean = *std::min_element(means.begin(), means.end());
    cell.highest_mean = *std::max_element(means.begin(), means.end());
    result.cells.push_back(std::move(cell));
  }
  for (size_t c = 0; c < options.capacities.size(); ++c) {
    result.capacities.push_back({layer, kind, options.capacities[c], SharesOf(observed.refused[c]),
                                 SharesOf(shuffled.refused[c])});
  }
}

}  // namespace

const char* NameOf(BatchKind kind) {
  return kind == BatchKind::kPrefill ? "prefill" : "decode";
}

void SimulatePlacement(const RowColumns& rows, const LayerColumns& layer,
                       const PlacementOptions& options, ThreadPool& pool, PlacementResult& result) {
  CheckCluster(options.cluster, layer.n_experts);
  auto halves = RowsByHalf(rows, options);
  std::vector<int64_t> all;
  for (const auto& half : halves) {
    all.insert(all.end(), half.begin(), half.end());
    if (half.size() >= static_cast<size_t>(options.batch)) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("--batch {}: expected at most the {} tokens of a half of the units",
                            options.batch, half.size()));
  }
  result.is_split = halves.size() > 1;
  const auto load = LoadOf(layer, all);
  PlannedLayer planned = {layer.layer, PlaceBalanced(load, options.cluster), 0};
  planned.imbalance = PlannedImbalance(planned.eplb, load, options.cluster);
  result.planned.push_back(std::move(planned));

  const std::vector<Fold> folds = MakeFolds(std::move(halves), layer, options);
  // Kind, then trace, then fold.
  std::vector<Measured> measured(4 * folds.size());
  pool.Run(static_cast<int64_t>(measured.size()), [&](int64_t t, int) {
    const size_t task = static_cast<size_t>(t), setting = task / folds.size();
    const auto kind = setting / 2 == 0 ? BatchKind::kPrefill : BatchKind::kDecode;
    measured[task] = Measure(folds[task % folds.size()], layer, kind, setting % 2 == 1, options);
  });
  std::array<Measured, 4> sums;
  for (size_t task = 0; task < measured.size(); ++task) {
    Add(measured[task], sums[task / folds.size()]);
  }
  Report(layer.layer, BatchKind::kPrefill, sums[0], sums[1], options, result);
  Report(layer.layer, BatchKind::kDecode, sums[2], sums[3], options, result);
}

std::vector<double> ParseCapacities(const std::string& text) {
  std::vector<double> capacities;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    double capacity = 0;
    const char* last = text.data() + end;
    const auto [stop, error] = std::from_chars(text.data() + begin, last, capacity);
    if (error != std::errc() || stop != last || !(capacity >= 1 && capacity <= 1000)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--capacity {}: expected factors of 1 or more, as 1,1.25; found '{}'",
                              text, text.substr(begin, end - begin)));
    }
    capacities.push_back(capacity);
    begin = end + 1;
  }
  return capacities;
}

}  // namespace moescope::study
