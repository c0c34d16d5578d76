#include "study/analysis/minimal_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/cancellation.h"
#include "base/error.h"
#include "study/analysis/multiple_testing.h"

namespace moescope::study {
namespace {

using routing::RoutedRows;

constexpr int kPlaces = 2;  // last piece, after

// What two rows have in common at a layer, in [0, 1]: by sets, by weights. Exactly 1 by weights for
// rows with the same choices, since numerator and denominator are the same sum.
std::array<double, 2> Common(std::span<const int16_t> experts_a, std::span<const float> weights_a,
                             std::span<const int16_t> experts_b, std::span<const float> weights_b) {
  const size_t n_slots = experts_a.size();
  const auto has = [](std::span<const int16_t> experts, int16_t expert) {
    return expert >= 0 && std::find(experts.begin(), experts.end(), expert) != experts.end();
  };
  double sets = 0, in_a = 0, in_b = 0, all_a = 0, all_b = 0;
  for (size_t i = 0; i < n_slots; ++i) {
    const double a = experts_a[i] < 0 ? 0 : double{weights_a[i]};
    const double b = experts_b[i] < 0 ? 0 : double{weights_b[i]};
    all_a += a;
    all_b += b;
    if (has(experts_b, experts_a[i])) {
      sets += 1;
      in_a += a;
    }
    if (has(experts_a, experts_b[i])) in_b += b;
  }
  const double weights = all_a > 0 && all_b > 0 ? (in_a / all_a + in_b / all_b) / 2 : 0;
  return {sets / static_cast<double>(n_slots), weights};
}

// Rows at the end of both that have the same token ids, last pieces apart.
size_t SameAfter(const RoutedRows& a, const RoutedRows& b) {
  const size_t most = std::min(a.n_rows(), b.n_rows()) - 1;
  size_t n = 0;
  while (n < most && a.token_ids[a.n_rows() - 1 - n] == b.token_ids[b.n_rows() - 1 - n]) ++n;
  return n;
}

// Two words in one template: what their rows have in common, summed over rows.
struct TemplateSums {
  std::vector<ByMinimalKind<double>> common;  // [n_layers]
  std::array<int64_t, kPlaces> n_rows = {};   // the same for all layers
  bool same_last_piece = false;
};

TemplateSums CompareIn(const RoutedRows& a, const RoutedRows& b, const std::vector<int>& layers) {
  TemplateSums sums;
  sums.common.assign(layers.size(), {});
  const size_t n_after = SameAfter(a, b);
  sums.n_rows = {1, static_cast<int64_t>(n_after)};
  sums.same_last_piece = a.token_ids[0] == b.token_ids[0];
  for (size_t l = 0; l < layers.size(); ++l) {
    const auto common = [&](size_t row_a, size_t row_b) {
      return Common(a.Experts(layers[l], row_a), a.Weights(layers[l], row_a),
                    b.Experts(layers[l], row_b), b.Weights(layers[l], row_b));
    };
    const auto [sets, weights] = common(0, 0);
    sums.common[l] = {sets, weights, 0, 0};
    for (size_t back = 1; back <= n_after; ++back) {
      const auto [sets_after, weights_after] = common(a.n_rows() - back, b.n_rows() - back);
      sums.common[l][2] += sets_after;
      sums.common[l][3] += weights_after;
    }
  }
  return sums;
}

// Of a MinimalKind.
int PlaceOf(int kind) {
  return kind / 2;
}

double Distance(double common, double n) {
  return n > 0 ? 1 - common / n : std::nan("");
}

// Two words in the templates they have in common, of those allowed.
struct Comparison {
  std::vector<int32_t> templates;
  std::vector<TemplateSums> sums;  // as `templates`

  int64_t n_rows(int place) const {
    int64_t n = 0;
    for (const TemplateSums& in : sums) n += in.n_rows[static_cast<size_t>(place)];
    return n;
  }
  double AtLayer(size_t layer, int kind) const {
    double common = 0;
    for (const TemplateSums& in : sums) common += in.common[layer][static_cast<size_t>(kind)];
    return Distance(common, static_cast<double>(n_rows(PlaceOf(kind))));
  }
  ByMinimalKind<double> InTemplate(size_t index) const {
    ByMinimalKind<double> distances;
    for (int kind = 0; kind < kMinimalKinds; ++kind) {
      const auto n_layers = static_cast<double>(sums[index].common.size());
      const auto n = static_cast<double>(sums[index].n_rows[static_cast<size_t>(PlaceOf(kind))]);
      distances[static_cast<size_t>(kind)] = Distance(SumOverLayers(index, kind), n * n_layers);
    }
    return distances;
  }
  double SumOverLayers(size_t index, int kind) const {
    double sum = 0;
    for (const auto& common : sums[index].common) sum += common[static_cast<size_t>(kind)];
    return sum;
  }
};

Comparison Compare(WordInTemplates a, WordInTemplates b, std::span<const int32_t> templates,
                   const std::vector<int>& layers) {
  Comparison comparison;
  for (const int32_t index : templates) {
    const auto t = static_cast<size_t>(index);
    if (a[t].n_rows() == 0 || b[t].n_rows() == 0) continue;
    comparison.templates.push_back(index);
    comparison.sums.push_back(CompareIn(a[t], b[t], layers));
  }
  return comparison;
}

// A pair's distances: by layer, and their mean.
struct Distances {
  std::vector<ByMinimalKind<double>> by_layer;
  ByMinimalKind<double> mean = {};
  double same_last_piece = 0;
};

Distances DistancesOf(const Comparison& comparison, size_t n_layers) {
  Distances distances;
  for (size_t l = 0; l < n_layers; ++l) {
    ByMinimalKind<double>& at = distances.by_layer.emplace_back();
    for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
      at[kind] = comparison.AtLayer(l, static_cast<int>(kind));
      distances.mean[kind] += at[kind] / static_cast<double>(n_layers);
    }
  }
  const auto same = std::ranges::count_if(comparison.sums, &TemplateSums::same_last_piece);
  const auto n = static_cast<double>(comparison.sums.size());
  distances.same_last_piece = n > 0 ? static_cast<double>(same) / n : std::nan("");
  return distances;
}

// Mean over those that are known; NaN of none.
double MeanOfKnown(std::span<const double> values) {
  double sum = 0, n = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    n += 1;
  }
  return n > 0 ? sum / n : std::nan("");
}

void AddNull(std::vector<double> null, MinimalDistance& result) {
  std::erase_if(null, [](double value) { return std::isnan(value); });
  result.null_mean = MeanOfKnown(null);
  result.null_low = result.null_high = result.p = std::nan("");
  if (null.empty()) return;
  // Distances are means of thousands of terms: those equal up to their rounding count as equal.
  constexpr double kRounding = 1e-12;
  const auto as_close = std::count_if(
      null.begin(), null.end(), [&](double value) { return value <= result.distance + kRounding; });
  std::sort(null.begin(), null.end());
  result.null_low = Quantile(null, 0.05);
  result.null_high = Quantile(null, 0.95);
  if (static_cast<int64_t>(null.size()) < kMinNullPairs || std::isnan(result.distance)) return;
  result.p = static_cast<double>(1 + as_close) / static_cast<double>(1 + null.size());
}

// Whole templates resampled; a distance is 1 - a ratio of sums over them.
void AddIntervals(const Comparison& comparison, size_t n_layers, uint64_t key,
                  const BootstrapOptions& options, ThreadPool& pool, MinimalPair& pair) {
  constexpr int kColumns = kMinimalKinds + kPlaces;
  std::vector<double> sums;
  for (size_t i = 0; i < comparison.sums.size(); ++i) {
    for (int kind = 0; kind < kMinimalKinds; ++kind) {
      sums.push_back(comparison.SumOverLayers(i, kind));
    }
    for (const int64_t n : comparison.sums[i].n_rows) {
      sums.push_back(static_cast<double>(n) * static_cast<double>(n_layers));
    }
  }
  std::vector<Ratio> ratios;
  for (int kind = 0; kind < kMinimalKinds; ++kind) {
    ratios.push_back({kind, kMinimalKinds + PlaceOf(kind)});
  }
  const auto intervals = BootstrapRatios(sums, kColumns, ratios, key, options, pool);
  for (size_t kind = 0; kind < intervals.size(); ++kind) {
    pair.distances[kind].interval = {1 - intervals[kind].high, 1 - intervals[kind].low};
  }
  const auto n = static_cast<int64_t>(comparison.templates.size());
  if (n < kMinUnits) {
    pair.why_no_interval =
        fmt::format("{} template{}, fewer than {}", n, n == 1 ? "" : "s", kMinUnits);
  }
}

void CorrectByHolm(std::vector<MinimalPair>& pairs) {
  for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
    std::vector<double> p;
    for (const MinimalPair& pair : pairs) p.push_back(pair.distances[kind].p);
    const std::vector<double> adjusted = AdjustHolm(p);
    for (size_t i = 0; i < pairs.size(); ++i) pairs[i].distances[kind].p_holm = adjusted[i];
  }
}

MinimalPair MeasureOne(std::span<const WordInTemplates> words, const MinimalPairQuestion& question,
                       const std::vector<int>& layers, const BootstrapOptions& options,
                       ThreadPool& pool) {
  const auto word = [&](int index) { return words[static_cast<size_t>(index)]; };
  std::vector<int32_t> all(word(question.a).size());
  std::iota(all.begin(), all.end(), 0);
  const Comparison own = Compare(word(question.a), word(question.b), all, layers);
  const Distances distances = DistancesOf(own, layers.size());
  MinimalPair pair;
  pair.templates = own.templates;
  pair.after_tokens = own.n_rows(1);
  for (size_t i = 0; i < own.templates.size(); ++i) {
    pair.by_template.push_back(own.InTemplate(i));
  }
  AddIntervals(own, layers.size(), question.key, options, pool, pair);

  std::vector<Distances> null(question.null_pairs.size());
  pool.Run(static_cast<int64_t>(null.size()), [&](int64_t i, int) {
    ThrowIfCancelled();
    const auto& [x, y] = question.null_pairs[static_cast<size_t>(i)];
    null[static_cast<size_t>(i)] =
        DistancesOf(Compare(word(x), word(y), own.templates, layers), layers.size());
  });
  std::vector<double> of_null(null.size());
  pair.same_last_piece = distances.same_last_piece;
  std::ranges::transform(null, of_null.begin(), &Distances::same_last_piece);
  pair.null_pairs = std::ranges::count_if(of_null, [](double share) { return !std::isnan(share); });
  pair.null_same_last_piece = MeanOfKnown(of_null);
  for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
    std::ranges::transform(null, of_null.begin(), [&](const auto& d) { return d.mean[kind]; });
    pair.distances[kind].distance = distances.mean[kind];
    AddNull(of_null, pair.distances[kind]);
  }
  for (size_t l = 0; l < layers.size(); ++l) {
    MinimalLayer& at = pair.layers.emplace_back();
    at.layer = layers[l];
    at.distance = distances.by_layer[l];
    for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
      std::ranges::transform(null, of_null.begin(),
                             [&](const auto& d) { return d.by_layer[l][kind]; });
      at.null_mean[kind] = MeanOfKnown(of_null);
    }
  }
  if (own.templates.empty()) {
    pair.why_not = "no template where both words stand by themselves";
  } else if (pair.null_pairs < kMinNullPairs) {
    pair.why_no_p = fmt::format("underpowered: {} null pair{}, fewer than {}", pair.null_pairs,
                                pair.null_pairs == 1 ? "" : "s", kMinNullPairs);
  }
  return pair;
}

}  // namespace

std::vector<MinimalPair> CompareMinimalPairs(std::span<const WordInTemplates> words,
                                             std::span<const MinimalPairQuestion> questions,
                                             const std::vector<int>& layers,
                                             const BootstrapOptions& options, ThreadPool& pool) {
  MOESCOPE_CHECK(!layers.empty());
  std::vector<MinimalPair> pairs;
  for (const MinimalPairQuestion& question : questions) {
    pairs.push_back(MeasureOne(words, question, layers, options, pool));
  }
  CorrectByHolm(pairs);
  return pairs;
}

}  // namespace moescope::study
