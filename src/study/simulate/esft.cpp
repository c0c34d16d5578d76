#include "study/simulate/esft.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "study/analysis/layer_reals.h"
#include "study/analysis/word_routes.h"

namespace moescope::study {
namespace {

// Adds what the rows [first, first + n) give to each expert.
void AddScores(const LayerColumns& layer, std::span<const float> weights, EsftScore score,
               int64_t first, int64_t n, std::vector<double>& sums) {
  const int64_t n_slots = layer.experts_per_token;
  for (int64_t at = first * n_slots; at < (first + n) * n_slots; ++at) {
    const int16_t expert = layer.experts[static_cast<size_t>(at)];
    if (expert < 0) continue;
    sums[static_cast<size_t>(expert)] +=
        score == EsftScore::kToken ? 1.0 : static_cast<double>(weights[static_cast<size_t>(at)]);
  }
}

void Select(EsftLayer& layer, double share) {
  std::vector<int> order(layer.rounded.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return layer.rounded[static_cast<size_t>(a)] > layer.rounded[static_cast<size_t>(b)];
  });
  // A share given in decimals means so many units, whatever its last bits are.
  const double wanted = share * kEsftUnitsPerOne - 1e-6;
  int64_t sum = 0;
  for (int expert : order) {
    layer.selected.push_back(expert);
    sum += layer.rounded[static_cast<size_t>(expert)];
    if (static_cast<double>(sum) >= wanted) return;
  }
}

}  // namespace

EsftLayer ComputeEsft(const RowColumns& rows, const LayerColumns& layer,
                      std::span<const float> weights, const std::vector<uint8_t>& in_task,
                      EsftScore score, double share) {
  EsftLayer result;
  result.layer = layer.layer;
  result.scores.resize(static_cast<size_t>(layer.n_experts));
  for (const DocumentRange& document : rows.documents) {
    if (in_task[static_cast<size_t>(document.dataset)] == 0) continue;
    result.n_tokens += document.n_rows;
    AddScores(layer, weights, score, document.first_row, document.n_rows, result.scores);
  }
  const double slots = score == EsftScore::kToken ? layer.experts_per_token : 1;
  for (double& sum : result.scores) {
    sum = result.n_tokens > 0 ? sum / (slots * static_cast<double>(result.n_tokens)) : 0;
    // Half to even, as the published scripts round.
    result.rounded.push_back(static_cast<int32_t>(std::nearbyint(sum * kEsftUnitsPerOne)));
  }
  Select(result, share);
  return result;
}

std::vector<EsftLayer> EsftSelection(const store::Run& run, store::Database& database,
                                     const RowColumns& rows, const std::vector<int>& layers,
                                     const std::string& dataset, EsftScore score, double share) {
  if (!(share > 0 && share <= 1)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("-p {}: expected a share above 0 and at most 1", share));
  }
  const int chosen = FindDataset(rows, dataset);
  std::vector<uint8_t> in_task(rows.datasets.size(), chosen < 0);
  if (chosen >= 0) in_task[static_cast<size_t>(chosen)] = 1;
  std::vector<EsftLayer> selection;
  for (int number : layers) {
    const LayerColumns layer = LoadLayer(run, database, rows, number);
    std::vector<float> weights;
    if (score == EsftScore::kGate) weights = LoadStoredWeights(run, database, rows, layer);
    selection.push_back(ComputeEsft(rows, layer, weights, in_task, score, share));
  }
  return selection;
}

std::string EsftConfigJson(const std::vector<EsftLayer>& layers) {
  std::string experts;
  for (const EsftLayer& layer : layers) {
    experts += fmt::format("{}\"{}\": [{}]", experts.empty() ? "" : ", ", layer.layer,
                           fmt::join(layer.selected, ", "));
  }
  return fmt::format(
      "{{\"experts\": {{{}}}, \"shared_experts\": false, \"non_expert_modules\": false}}\n",
      experts);
}

}  // namespace moescope::study
