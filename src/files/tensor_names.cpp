#include "files/tensor_names.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "base/error.h"

namespace moescope::files {
namespace {

using enum TensorKind;

constexpr NamePattern kDecoder[] = {
    {"model.embed_tokens.weight", kTokenEmbedding},
    {"model.layers.{l}.input_layernorm.weight", kAttentionNorm},
    {"model.layers.{l}.self_attn.q_proj.weight", kQuery},
    {"model.layers.{l}.self_attn.q_proj.bias", kQueryBias},
    {"model.layers.{l}.self_attn.k_proj.weight", kKey},
    {"model.layers.{l}.self_attn.k_proj.bias", kKeyBias},
    {"model.layers.{l}.self_attn.v_proj.weight", kValue},
    {"model.layers.{l}.self_attn.v_proj.bias", kValueBias},
    {"model.layers.{l}.self_attn.q_norm.weight", kQueryNorm},
    {"model.layers.{l}.self_attn.k_norm.weight", kKeyNorm},
    {"model.layers.{l}.self_attn.o_proj.weight", kAttentionOutput},
    {"model.layers.{l}.self_attn.o_proj.bias", kAttentionOutputBias},
    {"model.layers.{l}.post_attention_layernorm.weight", kFeedForwardNorm},
    {"model.norm.weight", kFinalNorm},
    {"lm_head.weight", kOutputHead},
};

constexpr NamePattern kMixtralExperts[] = {
    {"model.layers.{l}.block_sparse_moe.gate.weight", kRouter},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w1.weight", kGateProj},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w3.weight", kUpProj},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight", kDownProj},
};

constexpr NamePattern kExperts[] = {
    {"model.layers.{l}.mlp.gate.weight", kRouter},
    {"model.layers.{l}.mlp.experts.{e}.gate_proj.weight", kGateProj},
    {"model.layers.{l}.mlp.experts.{e}.up_proj.weight", kUpProj},
    {"model.layers.{l}.mlp.experts.{e}.down_proj.weight", kDownProj},
    {"model.layers.{l}.mlp.experts.gate_up_proj", kGateProj, Slicing::kGateUp},
    {"model.layers.{l}.mlp.experts.down_proj", kDownProj, Slicing::kExperts},
};

constexpr NamePattern kDenseFeedForward[] = {
    {"model.layers.{l}.mlp.gate_proj.weight", kGateProj},
    {"model.layers.{l}.mlp.up_proj.weight", kUpProj},
    {"model.layers.{l}.mlp.up_proj.bias", kUpProjBias},
    {"model.layers.{l}.mlp.down_proj.weight", kDownProj},
    {"model.layers.{l}.mlp.down_proj.bias", kDownProjBias},
};

constexpr NamePattern kGpt2[] = {
    {"wte.weight", kTokenEmbedding},
    {"wpe.weight", kPositionEmbedding},
    {"h.{l}.ln_1.weight", kAttentionNorm},
    {"h.{l}.ln_1.bias", kAttentionNormBias},
    {"h.{l}.attn.c_attn.weight", kQuery, Slicing::kQkv, true},
    {"h.{l}.attn.c_attn.bias", kQueryBias, Slicing::kQkv},
    {"h.{l}.attn.c_proj.weight", kAttentionOutput, Slicing::kWhole, true},
    {"h.{l}.attn.c_proj.bias", kAttentionOutputBias},
    {"h.{l}.ln_2.weight", kFeedForwardNorm},
    {"h.{l}.ln_2.bias", kFeedForwardNormBias},
    {"h.{l}.mlp.c_fc.weight", kUpProj, Slicing::kWhole, true},
    {"h.{l}.mlp.c_fc.bias", kUpProjBias},
    {"h.{l}.mlp.c_proj.weight", kDownProj, Slicing::kWhole, true},
    {"h.{l}.mlp.c_proj.bias", kDownProjBias},
    {"ln_f.weight", kFinalNorm},
    {"ln_f.bias", kFinalNormBias},
    {"lm_head.weight", kOutputHead},
};

constexpr NamePattern kConsolidated[] = {
    {"tok_embeddings.weight", kTokenEmbedding},
    {"layers.{l}.attention_norm.weight", kAttentionNorm},
    {"layers.{l}.attention.wq.weight", kQuery},
    {"layers.{l}.attention.wk.weight", kKey},
    {"layers.{l}.attention.wv.weight", kValue},
    {"layers.{l}.attention.wo.weight", kAttentionOutput},
    {"layers.{l}.ffn_norm.weight", kFeedForwardNorm},
    {"layers.{l}.feed_forward.gate.weight", kRouter},
    {"layers.{l}.feed_forward.experts.{e}.w1.weight", kGateProj},
    {"layers.{l}.feed_forward.experts.{e}.w3.weight", kUpProj},
    {"layers.{l}.feed_forward.experts.{e}.w2.weight", kDownProj},
    {"norm.weight", kFinalNorm},
    {"output.weight", kOutputHead},
};

constexpr NamePattern kConsolidatedDense[] = {
    {"layers.{l}.feed_forward.w1.weight", kGateProj},
    {"layers.{l}.feed_forward.w3.weight", kUpProj},
    {"layers.{l}.feed_forward.w2.weight", kDownProj},
};

constexpr NamePattern kGguf[] = {
    {"token_embd.weight", kTokenEmbedding},
    {"position_embd.weight", kPositionEmbedding},
    {"rope_freqs.weight", kRopeFactors},
    {"blk.{l}.attn_norm.weight", kAttentionNorm},
    {"blk.{l}.attn_norm.bias", kAttentionNormBias},
    {"blk.{l}.attn_q.weight", kQuery},
    {"blk.{l}.attn_q.bias", kQueryBias},
    {"blk.{l}.attn_k.weight", kKey},
    {"blk.{l}.attn_k.bias", kKeyBias},
    {"blk.{l}.attn_v.weight", kValue},
    {"blk.{l}.attn_v.bias", kValueBias},
    {"blk.{l}.attn_qkv.weight", kQuery, Slicing::kQkv},
    {"blk.{l}.attn_qkv.bias", kQueryBias, Slicing::kQkv},
    {"blk.{l}.attn_q_norm.weight", kQueryNorm},
    {"blk.{l}.attn_k_norm.weight", kKeyNorm},
    {"blk.{l}.attn_output.weight", kAttentionOutput},
    {"blk.{l}.attn_output.bias", kAttentionOutputBias},
    {"blk.{l}.ffn_norm.weight", kFeedForwardNorm},
    {"blk.{l}.ffn_norm.bias", kFeedForwardNormBias},
    {"output_norm.weight", kFinalNorm},
    {"output_norm.bias", kFinalNormBias},
    {"output.weight", kOutputHead},
};

// Merged experts, fused gate and up, and one tensor an expert (before spring 2024).
constexpr NamePattern kGgufExperts[] = {
    {"blk.{l}.ffn_gate_inp.weight", kRouter},
    {"blk.{l}.ffn_gate_exps.weight", kGateProj, Slicing::kExperts},
    {"blk.{l}.ffn_up_exps.weight", kUpProj, Slicing::kExperts},
    {"blk.{l}.ffn_down_exps.weight", kDownProj, Slicing::kExperts},
    {"blk.{l}.ffn_gate_up_exps.weight", kGateProj, Slicing::kGateUp},
    {"blk.{l}.ffn_gate.{e}.weight", kGateProj},
    {"blk.{l}.ffn_up.{e}.weight", kUpProj},
    {"blk.{l}.ffn_down.{e}.weight", kDownProj},
};

constexpr NamePattern kGgufDense[] = {
    {"blk.{l}.ffn_gate.weight", kGateProj},   {"blk.{l}.ffn_up.weight", kUpProj},
    {"blk.{l}.ffn_up.bias", kUpProjBias},     {"blk.{l}.ffn_down.weight", kDownProj},
    {"blk.{l}.ffn_down.bias", kDownProjBias},
};

// Takes a decimal index without leading zeros (so that two names never mean one tensor).
std::optional<int64_t> TakeIndex(std::string_view& text) {
  int64_t value = 0;
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  auto length = static_cast<size_t>(end - text.data());
  if (status != std::errc() || text[0] == '-' || (text[0] == '0' && length > 1))
    return std::nullopt;
  text.remove_prefix(length);
  return value;
}

std::optional<TensorRole> Match(const NamePattern& row, std::string_view name) {
  TensorRole role{row.kind, row.slicing, row.transposed};
  std::string_view pattern = row.pattern;
  while (!pattern.empty()) {
    size_t brace = std::min(pattern.find('{'), pattern.size());
    if (name.substr(0, brace) != pattern.substr(0, brace)) return std::nullopt;
    name.remove_prefix(brace);
    pattern.remove_prefix(brace);
    if (pattern.empty()) break;
    std::optional<int64_t> index = TakeIndex(name);
    if (!index) return std::nullopt;
    (pattern[1] == 'l' ? role.layer : role.expert) = *index;
    pattern.remove_prefix(3);
  }
  return name.empty() ? std::optional(role) : std::nullopt;
}

template <typename Predicate>
const NamePattern* FirstRow(const NameScheme& scheme, Predicate predicate) {
  for (std::span<const NamePattern> table : scheme.tables) {
    auto row = std::find_if(table.begin(), table.end(), predicate);
    if (row != table.end()) return &*row;
  }
  return nullptr;
}

}  // namespace

const NameScheme kMixtralNames = {{kMixtralExperts, kExperts, kDecoder}};
const NameScheme kDenseDecoderNames = {{kDenseFeedForward, kDecoder}};
const NameScheme kExpertDecoderNames = {{kExperts, kDecoder}};
const NameScheme kGpt2Names = {{kGpt2}, "transformer."};
const NameScheme kConsolidatedNames = {{kConsolidated, kConsolidatedDense}};
const NameScheme kGgufNames = {{kGgufExperts, kGguf}};
const NameScheme kGgufDenseNames = {{kGgufDense, kGguf}};

std::optional<TensorRole> RoleOf(const NameScheme& scheme, std::string_view name) {
  if (name.starts_with(scheme.optional_prefix)) name.remove_prefix(scheme.optional_prefix.size());
  for (std::span<const NamePattern> table : scheme.tables) {
    for (const NamePattern& row : table) {
      std::optional<TensorRole> role = Match(row, name);
      if (!role) continue;
      const bool names_no_expert = role->expert < 0 && role->slicing == Slicing::kWhole;
      if (ScopeOf(role->kind) == TensorScope::kExpert && names_no_expert) role->expert = 0;
      return role;
    }
  }
  return std::nullopt;
}

const NamePattern* FindPattern(const NameScheme& scheme, TensorKind kind) {
  return FirstRow(scheme, [kind](const NamePattern& row) { return row.kind == kind; });
}

const NamePattern* FindPattern(const NameScheme& scheme, TensorKind kind, Slicing slicing) {
  return FirstRow(scheme, [kind, slicing](const NamePattern& row) {
    return row.kind == kind && row.slicing == slicing;
  });
}

std::string NameOf(const NamePattern& pattern, TensorId id) {
  std::string name(pattern.pattern);
  auto fill = [&name](std::string_view hole, int index) {
    if (size_t at = name.find(hole); at != std::string::npos) {
      name.replace(at, hole.size(), std::to_string(index));
    }
  };
  fill("{l}", id.layer);
  fill("{e}", id.expert);
  return name;
}

std::string ExpectedName(const NameScheme& scheme, TensorId id) {
  const NamePattern* pattern = FindPattern(scheme, id.kind);
  return pattern == nullptr ? std::string(Name(id.kind)) : NameOf(*pattern, id);
}

bool IsDerived(std::string_view name) {
  // GPT-2's causal mask is stored beside its weights in old files.
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn.bias") ||
         name.ends_with(".attn.masked_bias");
}

}  // namespace moescope::files
