// Rotary position embedding. Source: RoFormer, arXiv 2104.09864.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/platform/aligned_buffer.h"
#include "files/model_config.h"

namespace moescope::engine {

// Radians a position turns each pair of dimensions by, [head_dim / 2], scaled as the configuration
// says. `factors` [head_dim / 2]: what they are divided by where it calls for kFactors, else empty.
// Source: transformers' modeling_rope_utils for the definitions of llama3 and yarn.
std::vector<double> RopeFrequencies(const files::ModelConfig& config,
                                    std::span<const float> factors);

// Cosines and sines for positions [0, n_positions), computed in double and rounded once. Both are
// multiplied by `attention_factor`.
class RopeTable {
 public:
  RopeTable(std::span<const double> frequencies, double attention_factor, int64_t n_positions,
            files::RopeLayout layout);

  // Turns `n_heads` consecutive heads of one row in place. Requires: 0 <= position < n_positions.
  void Apply(float* heads, int n_heads, int64_t position) const;

  static uint64_t Bytes(int head_dim, int64_t n_positions) {
    return static_cast<uint64_t>(head_dim) * static_cast<uint64_t>(n_positions) * sizeof(float);
  }

 private:
  int half_;
  files::RopeLayout layout_;
  AlignedBuffer<float> table_;  // [n_positions, 2, head_dim / 2]: cosines, then sines
};

}  // namespace moescope::engine
