// The probe behind `run --routes`: which experts each position of a session went to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "routing/probe.h"
#include "routing/router.h"

namespace moescope::lab {

// Memory for all positions is there from the start, so that workers never wait for each other.
class RouteWatcher : public routing::Probe {
 public:
  RouteWatcher(const routing::RouterDescription& router, int n_layers, int64_t n_positions);

  uint32_t sites() const override { return routing::kSiteDecision; }
  void OnDecision(const routing::DecisionBatch& batch) override;

  // Experts and routing weights of a position at a layer, [experts_per_token], first choice first.
  // Requires: the position has been run.
  std::span<const int16_t> Experts(int layer, int64_t position) const;
  std::span<const float> Weights(int layer, int64_t position) const;

 private:
  size_t Begin(int layer, int64_t position) const {
    return static_cast<size_t>((layer * n_positions_ + position) * n_chosen_);
  }
  int64_t n_positions_;
  int n_chosen_;
  std::vector<int16_t> experts_;  // [n_layers, n_positions, experts_per_token]
  std::vector<float> weights_;
};

}  // namespace moescope::lab
