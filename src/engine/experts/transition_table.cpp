#include "engine/experts/transition_table.h"

#include <algorithm>

namespace moescope::engine {

TransitionTable::TransitionTable(int n_layers, int n_experts)
    : n_experts_(n_experts),
      counts_(static_cast<size_t>(n_layers - 1) * static_cast<size_t>(n_experts) *
              static_cast<size_t>(n_experts)),
      score_(static_cast<size_t>(n_experts)) {}

void TransitionTable::Learn(int layer, std::span<const int16_t> from, std::span<const int16_t> to) {
  for (int16_t source : from) {
    if (source < 0) continue;
    uint32_t* row = Row(layer, source);
    for (int16_t target : to) {
      if (target >= 0) ++row[target];
    }
  }
}

int TransitionTable::Predict(int layer, std::span<const int16_t> from, std::span<int16_t> to) {
  std::fill(score_.begin(), score_.end(), 0);
  for (int16_t source : from) {
    if (source < 0) continue;
    const uint32_t* row = Row(layer, source);
    for (int target = 0; target < n_experts_; ++target) {
      score_[static_cast<size_t>(target)] += row[target];
    }
  }
  int n = 0;
  for (int16_t& chosen : to) {
    const auto best = std::max_element(score_.begin(), score_.end());
    if (*best == 0) break;
    chosen = static_cast<int16_t>(best - score_.begin());
    *best = 0;
    ++n;
  }
  return n;
}

}  // namespace moescope::engine
