#include "lab/decision_collector.h"

#include <algorithm>

namespace moescope::lab {

DecisionCollector::DecisionCollector(const routing::RouterDescription& router, int n_layers,
                                     int64_t max_rows, bool keep_logits)
    : router_(router),
      keep_logits_(keep_logits),
      layers_(router.n_experts > 0 ? static_cast<size_t>(n_layers) : 0) {
  auto rows = static_cast<size_t>(max_rows);
  for (Layer& layer : layers_) {
    layer.experts.resize(rows * static_cast<size_t>(router.experts_per_token));
    layer.weights.resize(layer.experts.size());
    layer.margins.resize(rows);
    layer.entropies.resize(rows);
    if (keep_logits) layer.logits.resize(rows * static_cast<size_t>(router.n_experts));
  }
}

void DecisionCollector::OnDecision(const routing::DecisionBatch& batch) {
  Layer& layer = layers_[static_cast<size_t>(batch.layer)];
  auto first = static_cast<size_t>(batch.first_row);
  auto n_chosen = static_cast<size_t>(batch.experts_per_token);
  auto n_experts = static_cast<size_t>(batch.n_experts);
  std::copy(batch.experts.begin(), batch.experts.end(), layer.experts.begin() + first * n_chosen);
  std::copy(batch.weights.begin(), batch.weights.end(), layer.weights.begin() + first * n_chosen);
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const float* logits = &batch.router_logits[row * n_experts];
    layer.margins[first + row] = routing::Margin(router_, logits, &batch.experts[row * n_chosen]);
    layer.entropies[first + row] = routing::Entropy(router_, logits);
  }
  if (keep_logits_) {
    std::copy(batch.router_logits.begin(), batch.router_logits.end(),
              layer.logits.begin() + first * n_experts);
  }
}

std::vector<store::LayerRoutes> DecisionCollector::Routes(int64_t n_rows) const {
  auto rows = static_cast<size_t>(n_rows);
  size_t n_slots = rows * static_cast<size_t>(router_.experts_per_token);
  size_t n_logits = keep_logits_ ? rows * static_cast<size_t>(router_.n_experts) : 0;
  std::vector<store::LayerRoutes> routes;
  for (const Layer& layer : layers_) {
    routes.push_back({.experts = std::span(layer.experts).first(n_slots),
                      .weights = std::span(layer.weights).first(n_slots),
                      .margins = std::span(layer.margins).first(rows),
                      .entropies = std::span(layer.entropies).first(rows),
                      .logits = std::span(layer.logits).first(n_logits)});
  }
  return routes;
}

uint64_t DecisionCollector::BytesPerRow(const routing::RouterDescription& router, int n_layers,
                                        bool keep_logits) {
  if (router.n_experts == 0) return 0;
  int slots = router.experts_per_token;
  int logits = keep_logits ? router.n_experts : 0;
  size_t bytes =
      slots * (sizeof(int16_t) + sizeof(float)) + 2 * sizeof(float) + logits * sizeof(float);
  return bytes * static_cast<size_t>(n_layers);
}

}  // namespace moescope::lab
