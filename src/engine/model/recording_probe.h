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
    return routing::kSiteDecision | routing::kSiteResidualAfterMoe |
           (attention.empty() ? 0u : routing::kSiteAttention);
  }
  // Keeps attention too: [layer, head, row, key] of one sequence.
  void KeepAttention(int n_layers, int n_heads) {
    n_heads_ = n_heads;
    attention.resize(Size(n_layers * n_heads, static_cast<int>(n_rows_)));
  }
  void OnAttention(const routing::AttentionBatch& batch) override {
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      const float* from = batch.weights.data() + row * static_cast<size_t>(batch.n_keys);
      const int64_t of_head = (int64_t{batch.layer} * n_heads_ + batch.head) * n_rows_;
      const int64_t at = (of_head + batch.first_row + static_cast<int64_t>(row)) * n_rows_;
      std::copy_n(from, batch.n_keys, attention.begin() + at + batch.first_key);
    }
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
  int n_heads_ = 0;
  size_t Size(int a, int b) const { return static_cast<size_t>(a * n_rows_ * b); }
  template <typename T>
  void Store(std::vector<T>& all, std::span<T> part, int layer, int64_t row, int width) {
    std::copy(part.begin(), part.end(), all.begin() + (layer * n_rows_ + row) * width);
  }

 public:
  std::vector<float> router_logits, weights, hidden, attention;
  std::vector<int16_t> experts;
};

}  // namespace moescope::engine
