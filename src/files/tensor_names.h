// What the tensors of a Mixtral are called in each layout, as one table per layout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "files/checkpoint.h"

namespace moescope::files {

enum class Layout {
  kHuggingFace,  // classic (block_sparse_moe) and fused (mlp.experts) names
  kGguf,         // merged experts, or one tensor per expert (before spring 2024)
};

// How a stored tensor becomes tensors of ours.
enum class Slicing {
  kWhole,    // one to one
  kExperts,  // [n_experts, ...]: one slice per expert
  kGateUp,   // [n_experts, 2 * ffn_dim, model_dim]: gate rows, then up rows, per expert
};

struct TensorRole {
  TensorKind kind;
  Slicing slicing = Slicing::kWhole;
  int64_t layer = -1;   // -1 outside layers; as in the name, so maybe out of range
  int64_t expert = -1;  // -1 outside experts and for merged tensors
};

// Nullopt for a name the layout does not know.
std::optional<TensorRole> RoleOf(Layout layout, std::string_view name);
// The name that a missing tensor should have had, for messages.
std::string ExpectedName(Layout layout, TensorId id);
// Tensors that older files carry and that follow from the configuration: safe to leave out.
bool IsDerived(std::string_view name);

}  // namespace moescope::files
