#include "study/analysis/paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/route_paths.h"
#include "study/analysis/unit_strata.h"

namespace moescope::study {
namespace {

using FirstChoices = std::vector<std::vector<int16_t>>;  // [layers][rows]

double EntropyBits(const std::vector<int64_t>& counts) {
  double total = 0, sum = 0;
  for (int64_t count : counts) {
    if (count == 0) continue;
    const auto n = static_cast<double>(count);
    total += n;
    sum += n * std::log2(n);
  }
  return total > 0 ? std::log2(total) - sum / total : 0;
}

// Rows at which no layer dropped its first choice.
struct CompleteRows {
  std::vector<int32_t> of;  // rows of RowColumns
  FirstChoices first;
};

CompleteRows KeepComplete(const RowColumns& rows, const PathRows& of, const FirstChoices& first) {
  CompleteRows complete;
  complete.first.resize(first.size());
  const size_t n = of.all ? static_cast<size_t>(rows.n_rows()) : of.of.size();
  for (size_t i = 0; i < n; ++i) {
    const bool dropped =
        std::any_of(first.begin(), first.end(), [&](const auto& layer) { return layer[i] < 0; });
    if (dropped) continue;
    complete.of.push_back(of.all ? static_cast<int32_t>(i) : of.of[i]);
    for (size_t l = 0; l < first.size(); ++l) complete.first[l].push_back(first[l][i]);
  }
  return complete;
}

// Counts by expert of each layer, and by pairs of experts of neighbouring chosen layers.
struct Marginals {
  int n_experts;
  std::vector<std::vector<int64_t>> single;  // [layers][E]
  std::vector<std::vector<int64_t>> pair;    // [layers - 1][E * E]

  Marginals(const FirstChoices& first, int experts) : n_experts(experts) {
    for (size_t l = 0; l < first.size(); ++l) {
      single.emplace_back(n_experts);
      for (int16_t expert : first[l]) ++single[l][expert];
      if (l + 1 == first.size()) break;
      pair.emplace_back(static_cast<size_t>(n_experts) * n_experts);
      for (size_t i = 0; i < first[l].size(); ++i) {
        ++pair[l][static_cast<size_t>(first[l][i]) * n_experts + first[l + 1][i]];
      }
    }
  }
  double Independent(const std::vector<int16_t>& path, double n) const {
    double share = 1;
    for (size_t l = 0; l < path.size(); ++l) share *= static_cast<double>(single[l][path[l]]) / n;
    return share;
  }
  double Markov(const std::vector<int16_t>& path, double n) const {
    double share = static_cast<double>(single[0][path[0]]) / n;
    for (size_t l = 0; l + 1 < path.size(); ++l) {
      const size_t cell = static_cast<size_t>(path[l]) * n_experts + path[l + 1];
      share *= static_cast<double>(pair[l][cell]) / static_cast<double>(single[l][path[l]]);
    }
    return share;
  }
};

// Entropy of paths when layer l is read `shift[l]` rows further on, in a circle.
double ShiftedEntropy(const FirstChoices& first, int n_experts, const std::vector<size_t>& shift) {
  const size_t n = first[0].size();
  constexpr int64_t kTableCells = int64_t{1} << 20;
  int64_t n_cells = 1;
  for (size_t l = 0; l < first.size() && n_cells <= kTableCells; ++l) n_cells *= n_experts;
  const auto at = [&](size_t layer, size_t row) {
    const size_t place = row + shift[layer];
    return first[layer][place < n ? place : place - n];
  };
  if (n_cells > kTableCells) {
    RoutePaths paths(static_cast<int64_t>(n));
    for (size_t l = 0; l < first.size(); ++l) {
      paths.AddLayer([&](int64_t row) { return int{at(l, static_cast<size_t>(row))}; });
    }
    return EntropyBits(paths.Counts());
  }
  std::vector<int64_t> counts(n_cells);
  for (size_t row = 0; row < n; ++row) {
    int64_t cell = 0;
    for (size_t l = 0; l < first.size(); ++l) cell = cell * n_experts + at(l, row);
    ++counts[cell];
  }
  return EntropyBits(counts);
}

void AddShiftNull(const FirstChoices& first, int n_experts, const PathsOptions& options,
                  ThreadPool& pool, Paths& result) {
  const size_t n = first[0].size();
  result.null_mean = result.null_high = result.p = std::nan("");
  if (n < 2 || options.n_shifts < 1) return;
  std::vector<double> dependences(options.n_shifts);
  pool.Run(options.n_shifts, [&](int64_t draw, int) {
    ThrowIfCancelled();
    Random random(Combine(Combine(options.bootstrap.seed, KeyOfName("path shifts")), draw));
    std::vector<size_t> shift(first.size());
    for (size_t l = 1; l < first.size(); ++l) shift[l] = random.Below(n);
    dependences[draw] = result.sum_of_entropies - ShiftedEntropy(first, n_experts, shift);
  });
  // Sums of logarithms in another order differ in their last bits.
  constexpr double kRounding = 1e-9;
  const auto as_large = std::count_if(dependences.begin(), dependences.end(), [&](double value) {
    return value >= result.dependence - kRounding;
  });
  result.n_shifts = options.n_shifts;
  result.p = static_cast<double>(1 + as_large) / (1 + options.n_shifts);
  result.null_mean =
      std::accumulate(dependences.begin(), dependences.end(), 0.0) / options.n_shifts;
  result.null_high = *std::max_element(dependences.begin(), dependences.end());
}

// Fills ranks and keeps the paths that have one.
std::vector<std::pair<int32_t, PathShare>> ChoosePaths(const RoutePaths& numbered,
                                                       const Marginals& marginals, double n,
                                                       const PathsOptions& options) {
  const std::vector<int64_t> counts = numbered.Counts();
  std::vector<std::pair<int32_t, PathShare>> all(counts.size());
  for (size_t path = 0; path < counts.size(); ++path) {
    PathShare& share = all[path].second;
    all[path].first = static_cast<int32_t>(path);
    share.experts = numbered.Experts(static_cast<int32_t>(path));
    share.count = counts[path];
    share.share = static_cast<double>(share.count) / n;
    share.independent = marginals.Independent(share.experts, n);
    share.markov = marginals.Markov(share.experts, n);
  }
  const auto rank = [&](auto value, int PathShare::*into) {
    std::vector<size_t> order;
    for (size_t i = 0; i < all.size(); ++i) {
      if (into != &PathShare::rank_by_lift || all[i].second.count >= options.min_count) {
        order.push_back(i);
      }
    }
    const size_t n_ranked = std::min<size_t>(options.limit, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(n_ranked), order.end(),
                      [&](size_t a, size_t b) {
                        const double x = value(all[a].second), y = value(all[b].second);
                        return x != y ? x > y : all[a].second.experts < all[b].second.experts;
                      });
    for (size_t i = 0; i < n_ranked; ++i) all[order[i]].second.*into = static_cast<int>(i) + 1;
  };
  rank([](const PathShare& share) { return static_cast<double>(share.count); },
       &PathShare::rank_by_count);
  rank([](const PathShare& share) { return share.lift(); }, &PathShare::rank_by_lift);
  std::erase_if(all, [](const auto& path) {
    return path.second.rank_by_count == 0 && path.second.rank_by_lift == 0;
  });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    const auto key = [](const PathShare& share) {
      return std::pair(share.rank_by_count > 0 ? 0 : 1,
                       share.rank_by_count > 0 ? share.rank_by_count : share.rank_by_lift);
    };
    return key(a.second) < key(b.second);
  });
  return all;
}

// Intervals of the chosen paths: shares of the rows, over units.
void AddIntervals(const RowColumns& rows, const CompleteRows& complete, const RoutePaths& numbered,
                  const PathsOptions& options, ThreadPool& pool,
                  std::vector<std::pair<int32_t, PathShare>>& chosen, Paths& result) {
  std::vector<int32_t> column_of(numbered.n_paths(), -1);
  for (size_t c = 0; c < chosen.size(); ++c) column_of[chosen[c].first] = static_cast<int32_t>(c);
  std::vector<uint8_t> is_used(rows.units.size());
  std::vector<int32_t> unit_of(complete.of.size());
  size_t document = 0;
  for (size_t i = 0; i < complete.of.size(); ++i) {
    while (rows.documents[document].first_row + rows.documents[document].n_rows <= complete.of[i]) {
      ++document;
    }
    unit_of[i] = rows.documents[document].unit;
    is_used[unit_of[i]] = 1;
  }
  const UnitStrata units = StratifyUnits(rows, is_used);
  const int n_columns = static_cast<int>(chosen.size()) + 1;
  std::vector<double> sums(static_cast<size_t>(units.n_units) * n_columns);
  for (size_t i = 0; i < complete.of.size(); ++i) {
    double* unit = sums.data() + static_cast<size_t>(units.place[unit_of[i]]) * n_columns;
    unit[n_columns - 1] += 1;
    const int32_t column = column_of[numbered.path_of_item()[i]];
    if (column >= 0) unit[column] += 1;
  }
  std::vector<Ratio> ratios;
  for (int c = 0; c + 1 < n_columns; ++c) ratios.push_back({c, n_columns - 1});
  const auto intervals = BootstrapStratifiedRatios(sums, n_columns, units.strata, ratios,
                                                   KeyOfName("paths"), options.bootstrap, pool);
  result.n_units = units.n_units;
  result.why_no_interval = WhyNoInterval(units.n_units, "");
  for (size_t c = 0; c < intervals.size(); ++c) chosen[c].second.interval = intervals[c];
}

void AddLinks(const Marginals& marginals, Paths& result) {
  for (size_t l = 0; l < marginals.pair.size(); ++l) {
    for (int from = 0; from < marginals.n_experts; ++from) {
      for (int to = 0; to < marginals.n_experts; ++to) {
        const int64_t count =
            marginals.pair[l][static_cast<size_t>(from) * marginals.n_experts + to];
        if (count == 0) continue;
        result.links.push_back({result.layers[l], from, result.layers[l + 1], to, count});
      }
    }
  }
}

void CheckLayerCount(size_t n_layers) {
  if (n_layers >= 2 && n_layers <= kMaxPathLayers) return;
  throw Error(ErrorKind::kBadInput, fmt::format("--layers: expected 2 to {} layers for paths, "
                                                "found {}",
                                                kMaxPathLayers, n_layers));
}

}  // namespace

Paths ComputePathsOf(const RowColumns& rows, const PathRows& of, const std::vector<int>& layers,
                     const FirstChoices& first_choices, int n_experts, const PathsOptions& options,
                     ThreadPool& pool) {
  CheckLayerCount(layers.size());
  const CompleteRows complete = KeepComplete(rows, of, first_choices);
  Paths result;
  result.layers = layers;
  result.rows = static_cast<int64_t>(complete.of.size());
  result.possible = std::pow(n_experts, static_cast<double>(layers.size()));
  RoutePaths numbered(result.rows);
  for (const auto& layer : complete.first) {
    numbered.AddLayer([&](int64_t row) { return int{layer[row]}; });
  }
  const Marginals marginals(complete.first, n_experts);
  result.distinct = result.rows > 0 ? numbered.n_paths() : 0;
  result.entropy = EntropyBits(numbered.Counts());
  for (const auto& counts : marginals.single) result.sum_of_entropies += EntropyBits(counts);
  // H(first) + sum of H(next | one before) = sum of H(pair) less the layers counted twice.
  for (const auto& counts : marginals.pair) result.markov_entropy += EntropyBits(counts);
  for (size_t l = 1; l + 1 < layers.size(); ++l) {
    result.markov_entropy -= EntropyBits(marginals.single[l]);
  }
  result.dependence = result.sum_of_entropies - result.entropy;
  AddShiftNull(complete.first, n_experts, options, pool, result);
  if (result.rows == 0) return result;
  auto chosen = ChoosePaths(numbered, marginals, static_cast<double>(result.rows), options);
  AddIntervals(rows, complete, numbered, options, pool, chosen, result);
  for (auto& path : chosen) result.paths.push_back(std::move(path.second));
  AddLinks(marginals, result);
  return result;
}

Paths ComputePaths(const store::Run& run, store::Database& database, const RowColumns& rows,
                   const PathRows& of, const std::vector<int>& layers, const PathsOptions& options,
                   ThreadPool& pool) {
  CheckLayerCount(layers.size());
  FirstChoices first;
  ForEachLayer("paths", run, database, rows, layers, [&](const LayerColumns& layer) {
    const size_t n = of.all ? static_cast<size_t>(rows.n_rows()) : of.of.size();
    std::vector<int16_t>& choices = first.emplace_back(n);
    for (size_t i = 0; i < n; ++i) {
      const int64_t row = of.all ? static_cast<int64_t>(i) : of.of[i];
      choices[i] = layer.experts[row * layer.experts_per_token];
    }
  });
  return ComputePathsOf(rows, of, layers, first, run.description().n_experts, options, pool);
}

}  // namespace moescope::study
