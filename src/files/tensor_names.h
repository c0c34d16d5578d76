// What tensors are called in each layout, as tables of patterns.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "files/tensor_kind.h"

namespace moescope::files {

// How a stored tensor becomes tensors of ours.
enum class Slicing : uint8_t {
  kWhole,    // one to one
  kExperts,  // [n_experts, ...]: one slice per expert
  kGateUp,   // [n_experts, 2 * ffn_dim, model_dim]: gate rows, then up rows, per expert
  kQkv,      // query rows, key rows, value rows
};

// "{l}" stands for a layer, "{e}" for an expert.
struct NamePattern {
  std::string_view pattern;
  TensorKind kind;  // of a sliced tensor: the first of its slices
  Slicing slicing = Slicing::kWhole;
  bool transposed = false;  // matrices are stored [in, out]
};

// The names of one layout: tables are looked at in order, so a table of what is particular comes
// before one that many share. `optional_prefix` may stand before any name.
struct NameScheme {
  std::span<const NamePattern> tables[3] = {};
  std::string_view optional_prefix = "";
};

struct TensorRole {
  TensorKind kind;
  Slicing slicing = Slicing::kWhole;
  bool transposed = false;
  int64_t layer = -1;   // -1 outside layers; as in the name, so maybe out of range
  int64_t expert = -1;  // -1 outside experts and for merged tensors; 0 in a dense layer
};

// Nullopt for a name the scheme does not know.
std::optional<TensorRole> RoleOf(const NameScheme& scheme, std::string_view name);
// The row by which tensors of a kind are written: the first one of the kind, or of the kind and the
// slicing. Null where the layout has none.
const NamePattern* FindPattern(const NameScheme& scheme, TensorKind kind);
const NamePattern* FindPattern(const NameScheme& scheme, TensorKind kind, Slicing slicing);
// The name that the row gives a tensor, without the optional prefix.
std::string NameOf(const NamePattern& pattern, TensorId id);
// The name that a missing tensor should have had, for messages.
std::string ExpectedName(const NameScheme& scheme, TensorId id);
// Tensors that older files carry and that follow from the configuration: safe to leave out.
bool IsDerived(std::string_view name);

// The layouts.
extern const NameScheme kMixtralNames;        // classic (block_sparse_moe) and fused names
extern const NameScheme kDenseDecoderNames;   // Llama, Mistral
extern const NameScheme kExpertDecoderNames;  // OLMoE, Qwen3-MoE: mlp.experts.E.gate_proj
extern const NameScheme kGpt2Names;           // Conv1D: matrices [in, out]
extern const NameScheme kConsolidatedNames;   // Mistral's own files
extern const NameScheme kGgufNames;           // llama.cpp's, all families
extern const NameScheme kGgufDenseNames;      // the same without experts

}  // namespace moescope::files
