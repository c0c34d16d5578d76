// Everything the layers say about one token: what `explain` takes apart.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/model.h"
#include "routing/probe.h"

namespace moescope::lab {

// One token at one layer; arrays as the sweep holds them, float32.
struct LayerRecord {
  std::vector<float> input;            // [model_dim] residual stream before the layer
  std::vector<float> attention;        // [n_heads, position + 1] weights, keys masked by a window 0
  std::vector<float> heads;            // [n_heads * head_dim] before the output projection
  std::vector<float> after_attention;  // [model_dim]
  std::vector<float> router_logits;    // [n_experts]; empty where dense
  std::vector<int16_t> experts;        // [experts_per_token]
  std::vector<float> weights;          // [experts_per_token]
  std::vector<std::vector<float>> expert_outputs;  // [experts_per_token][model_dim], before weights
  std::vector<float> output;                       // [model_dim]
};

// Runs a text through the model and keeps what concerns the token at `position`.
// Requires: 0 <= position < ids.size() <= context. Throws Error as Sweep::Run.
std::vector<LayerRecord> RecordToken(const engine::Model& model, const std::vector<int32_t>& ids,
                                     int64_t position, int n_threads);

}  // namespace moescope::lab
