#include "study/simulate/skip.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/layer_reals.h"

namespace moescope::study {
namespace {

// Last to first weight of a data set's tokens that have both.
struct Ratios {
  std::vector<std::vector<float>> by_unit;  // [units of the data set] sorted
  std::vector<float> sorted;                // of all units
  int64_t n_assignments = 0;
};

Ratios RatiosOf(const RowColumns& rows, const DatasetInfo& dataset, const LayerColumns& layer,
                std::span<const float> weights) {
  const int64_t n_slots = layer.experts_per_token;
  Ratios ratios;
  std::unordered_map<int32_t, size_t> unit_place;
  for (int32_t unit : dataset.units) unit_place.try_emplace(unit, unit_place.size());
  ratios.by_unit.resize(dataset.units.size());
  for (int32_t d : dataset.documents) {
    const DocumentRange& document = rows.documents[d];
    std::vector<float>& of_unit = ratios.by_unit[unit_place.at(document.unit)];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int16_t* experts = layer.experts.data() + row * n_slots;
      const float* weight = weights.data() + row * n_slots;
      ratios.n_assignments +=
          std::count_if(experts, experts + n_slots, [](int16_t e) { return e >= 0; });
      const bool has_both = experts[0] >= 0 && experts[n_slots - 1] >= 0 && weight[0] > 0;
      if (has_both) of_unit.push_back(weight[n_slots - 1] / weight[0]);
    }
  }
  for (auto& of_unit : ratios.by_unit) {
    std::sort(of_unit.begin(), of_unit.end());
    ratios.sorted.insert(ratios.sorted.end(), of_unit.begin(), of_unit.end());
  }
  std::sort(ratios.sorted.begin(), ratios.sorted.end());
  return ratios;
}

int64_t CountBelow(const std::vector<float>& sorted, double beta) {
  return std::partition_point(sorted.begin(), sorted.end(), [&](float r) { return r < beta; }) -
         sorted.begin();
}

// Of the share of tokens below `beta`, units resampled.
Interval ShareInterval(const Ratios& ratios, double beta, uint64_t key,
                       const BootstrapOptions& bootstrap, ThreadPool& pool) {
  std::vector<double> sums;  // [units, {dropped, tokens}]
  for (const auto& of_unit : ratios.by_unit) {
    sums.push_back(static_cast<double>(CountBelow(of_unit, beta)));
    sums.push_back(static_cast<double>(of_unit.size()));
  }
  const Ratio share = {0, 1};
  return BootstrapRatios(sums, 2, {&share, 1}, key, bootstrap, pool)[0];
}

// The mean of the middle two where they are two.
double Median(const std::vector<float>& sorted) {
  if (sorted.empty()) return std::nan("");
  const size_t n = sorted.size();
  return (static_cast<double>(sorted[(n - 1) / 2]) + static_cast<double>(sorted[n / 2])) / 2;
}

double ShareOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : std::nan("");
}

}  // namespace

std::vector<std::optional<double>> ParseBetas(const std::string& text) {
  std::vector<std::optional<double>> betas;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    if (item == "auto") {
      betas.emplace_back(std::nullopt);
      continue;
    }
    double beta = 0;
    const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), beta);
    if (error != std::errc() || stop != item.data() + item.size() || !(beta >= 0 && beta <= 1)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--beta {}: expected auto or numbers from 0 to 1, as auto,0.5; found "
                              "'{}'",
                              text, item));
    }
    betas.emplace_back(beta);
  }
  return betas;
}

std::vector<SkipCell> ComputeSkipping(const RowColumns& rows, const LayerColumns& layer,
                                      std::span<const float> weights,
                                      const std::vector<std::optional<double>>& betas,
                                      const BootstrapOptions& bootstrap, ThreadPool& pool) {
  std::vector<Ratios> datasets;
  std::vector<float> all;
  for (const DatasetInfo& dataset : rows.datasets) {
    datasets.push_back(RatiosOf(rows, dataset, layer, weights));
    all.insert(all.end(), datasets.back().sorted.begin(), datasets.back().sorted.end());
  }
  std::sort(all.begin(), all.end());
  const double median = Median(all);
  std::vector<SkipCell> cells;
  for (size_t d = 0; d < datasets.size(); ++d) {
    const Ratios& ratios = datasets[d];
    const DatasetInfo& dataset = rows.datasets[d];
    for (const auto& beta : betas) {
      SkipCell& cell = cells.emplace_back();
      cell.dataset = dataset.name;
      cell.layer = layer.layer;
      cell.is_auto = !beta.has_value();
      cell.beta = beta.value_or(median);
      cell.tokens = static_cast<int64_t>(ratios.sorted.size());
      cell.dropped = CountBelow(ratios.sorted, cell.beta);
      cell.share = ShareOf(cell.dropped, cell.tokens);
      cell.work_saved = ShareOf(cell.dropped, ratios.n_assignments);
      cell.median_ratio = Median(ratios.sorted);
      cell.n_units = static_cast<int64_t>(dataset.units.size());
      cell.why_no_interval = WhyNoInterval(cell.n_units, dataset.unit_by);
      if (!cell.why_no_interval.empty() || bootstrap.n_samples == 0) continue;
      const uint64_t key = Combine(bootstrap.seed, KeyOfName(dataset.name));
      cell.interval = ShareInterval(ratios, cell.beta, key, bootstrap, pool);
    }
  }
  return cells;
}

std::vector<SkipCell> SkippingTable(const store::Run& run, store::Database& database,
                                    const RowColumns& rows, const std::vector<int>& layers,
                                    const std::vector<std::optional<double>>& betas,
                                    const BootstrapOptions& bootstrap, ThreadPool& pool) {
  const int n_slots = run.description().experts_per_token;
  if (n_slots < 2) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot skip experts: {}: expected two or more experts a token, found "
                            "{}",
                            run.directory(), n_slots));
  }
  std::vector<SkipCell> cells;
  for (int number : layers) {
    const LayerColumns layer = LoadLayer(run, database, rows, number);
    const auto weights = LoadStoredWeights(run, database, rows, layer);
    auto more = ComputeSkipping(rows, layer, weights, betas, bootstrap, pool);
    cells.insert(cells.end(), more.begin(), more.end());
  }
  return cells;
}

}  // namespace moescope::study
