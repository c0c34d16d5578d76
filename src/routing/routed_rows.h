// Decisions of a few rows of one sequence at every layer, held in memory: how the engine's side
// hands routes to statistics where no run is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moescope::routing {

struct RoutedRows {
  int n_layers = 0;
  int experts_per_token = 0;
  std::vector<int32_t> token_ids;  // [n_rows]
  std::vector<int16_t> experts;    // [n_layers, n_rows, experts_per_token]; -1: dropped slot
  std::vector<float> weights;      // the same shape; 0 in a dropped slot

  size_t n_rows() const { return token_ids.size(); }
  // [experts_per_token], first choice first.
  std::span<const int16_t> Experts(int layer, size_t row) const {
    return std::span(experts).subspan(Begin(layer, row), static_cast<size_t>(experts_per_token));
  }
  std::span<const float> Weights(int layer, size_t row) const {
    return std::span(weights).subspan(Begin(layer, row), static_cast<size_t>(experts_per_token));
  }

 private:
  size_t Begin(int layer, size_t row) const {
    return (static_cast<size_t>(layer) * n_rows() + row) * static_cast<size_t>(experts_per_token);
  }
};

}  // namespace moescope::routing
