// How often an expert was followed by each expert of the next layer, learned while a model runs: a
// forecast that costs no arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moescope::engine {

// Not thread-safe.
class TransitionTable {
 public:
  TransitionTable(int n_layers, int n_experts);

  // A token chose `from` in `layer` and `to` in the next; negative choices (dropped) are left out.
  void Learn(int layer, std::span<const int16_t> from, std::span<const int16_t> to);
  // Writes the experts of the layer after `layer` that most often followed these, best first, ties
  // to the lower one; experts that never did are left out. Returns how many were written.
  int Predict(int layer, std::span<const int16_t> from, std::span<int16_t> to);

 private:
  uint32_t* Row(int layer, int16_t expert) {
    return counts_.data() +
           (static_cast<size_t>(layer * n_experts_ + expert)) * static_cast<size_t>(n_experts_);
  }
  int n_experts_;
  std::vector<uint32_t> counts_;  // [n_layers - 1, n_experts, n_experts]
  std::vector<uint64_t> score_;   // [n_experts]
};

}  // namespace moescope::engine
