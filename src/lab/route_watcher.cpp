#include "lab/route_watcher.h"

#include <algorithm>

namespace moescope::lab {

RouteWatcher::RouteWatcher(const routing::RouterDescription& router, int n_layers,
                           int64_t n_positions)
    : n_positions_(n_positions),
      n_chosen_(router.experts_per_token),
      experts_(Begin(n_layers, 0)),
      weights_(experts_.size()) {}

void RouteWatcher::OnDecision(const routing::DecisionBatch& batch) {
  const auto n = static_cast<size_t>(n_chosen_);
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const size_t to = Begin(batch.layer, batch.rows[row].position);
    std::copy_n(batch.experts.begin() + static_cast<ptrdiff_t>(row * n), n, experts_.begin() + to);
    std::copy_n(batch.weights.begin() + static_cast<ptrdiff_t>(row * n), n, weights_.begin() + to);
  }
}

std::span<const int16_t> RouteWatcher::Experts(int layer, int64_t position) const {
  return std::span(experts_).subspan(Begin(layer, position), static_cast<size_t>(n_chosen_));
}

std::span<const float> RouteWatcher::Weights(int layer, int64_t position) const {
  return std::span(weights_).subspan(Begin(layer, position), static_cast<size_t>(n_chosen_));
}

}  // namespace moescope::lab
