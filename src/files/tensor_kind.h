// The tensors a model can have: what each is for, where it occurs, and the shape it must have.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "files/model_config.h"

namespace moescope::files {

// In the order a forward pass meets them; biases stand behind what they are added to.
enum class TensorKind : uint8_t {
  kTokenEmbedding,       // [vocab_size, model_dim]
  kPositionEmbedding,    // [context, model_dim]
  kRopeFactors,          // [head_dim / 2] what each rotary frequency is divided by
  kAttentionNorm,        // [model_dim]
  kAttentionNormBias,    // [model_dim]
  kQuery,                // [n_heads * head_dim, model_dim]
  kQueryBias,            // [n_heads * head_dim]
  kKey,                  // [n_kv_heads * head_dim, model_dim]
  kKeyBias,              // [n_kv_heads * head_dim]
  kValue,                // [n_kv_heads * head_dim, model_dim]
  kValueBias,            // [n_kv_heads * head_dim]
  kQueryNorm,            // [n_heads * head_dim], or [head_dim] for all heads
  kKeyNorm,              // [n_kv_heads * head_dim], or [head_dim]
  kAttentionOutput,      // [model_dim, n_heads * head_dim]
  kAttentionOutputBias,  // [model_dim]
  kFeedForwardNorm,      // [model_dim]
  kFeedForwardNormBias,  // [model_dim]
  kRouter,               // [n_experts, model_dim]
  kGateProj,             // [ffn_dim, model_dim], one expert
  kUpProj,               // [ffn_dim, model_dim], one expert
  kUpProjBias,           // [ffn_dim], one expert
  kDownProj,             // [model_dim, ffn_dim], one expert
  kDownProjBias,         // [model_dim], one expert
  kFinalNorm,            // [model_dim]
  kFinalNormBias,        // [model_dim]
  kOutputHead,           // [vocab_size, model_dim]
};

// How often a kind occurs. A dense layer's feed-forward network counts as expert 0.
enum class TensorScope : uint8_t { kModel, kLayer, kExpert };

// What people count together: "where are the bytes".
enum class TensorGroup : uint8_t { kEmbeddings, kAttention, kNorms, kRouter, kExperts, kHead };

std::span<const TensorKind> AllTensorKinds();
// "expert gate_proj", "router", ... for people.
std::string_view Name(TensorKind kind);
TensorScope ScopeOf(TensorKind kind);
TensorGroup GroupOf(TensorKind kind);
// True when a model of this configuration has such tensors; a tied output head is one of its own,
// with the bytes of the embedding.
bool HasTensor(TensorKind kind, const ModelConfig& config);
// The shape the configuration calls for, row-major; of an expert's tensor, one expert's.
std::vector<int64_t> ShapeOf(TensorKind kind, const ModelConfig& config);
// Tensors of a kind in the whole model; 0 where HasTensor is false.
uint64_t CountOf(TensorKind kind, const ModelConfig& config);

struct TensorId {
  TensorKind kind;
  int layer = -1;   // -1 outside layers
  int expert = -1;  // -1 outside experts
  auto operator<=>(const TensorId&) const = default;
};

}  // namespace moescope::files
