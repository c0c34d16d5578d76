// A probe that keeps everything it is shown, by row, for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "routing/probe.h"

namespace moescope::engine {

// Arrays are laid out [layer, row, ...]; `hidden` has the embedding output as its first layer.
// Calls for different rows write to different places, so no lock is needed.
class RecordingProbe : public routing::Probe {
 public:
  RecordingProbe(int n_layers, int64_t n_rows, int dim, int n_experts, int experts_per_token)
      : n_rows_(n_rows),
        router_logits(Size(n_layers, n_experts)),
        weights(Size(n_layers, experts_per_token)),
        hidden(Size(n_layers + 1, dim)),
        experts(Size(n_layers, experts_per_token)) {}

  uint32_t sites() const override {
    return routing::kSiteDecision | routing::kSiteResidualAfterMoe;
  }
  void OnDecision(const routing::DecisionBatch& batch) override {
    Store(router_logits, batch.router_logits, batch.layer, batch.first_row, batch.n_experts);
    Store(experts, batch.experts, batch.layer, batch.first_row, batch.experts_per_token);
    Store(weights, batch.weights, batch.layer, batch.first_row, batch.experts_per_token);
  }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    Store(hidden, batch.values, batch.layer + 1, batch.first_row, batch.dim);
  }

 private:
  int64_t n_rows_;
  size_t Size(int a, int b) const { return static_cast<size_t>(a * n_rows_ * b); }
  template <typename T>
  void Store(std::vector<T>& all, std::span<T> part, int layer, int64_t row, int width) {
    std::copy(part.begin(), part.end(), all.begin() + (layer * n_rows_ + row) * width);
  }

 public:
  std::vector<float> router_logits, weights, hidden;
  std::vector<int16_t> experts;
};

}  // namespace moescope::engine
