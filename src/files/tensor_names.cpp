#include "files/tensor_names.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "base/error.h"

namespace moescope::files {
namespace {

// "{l}" stands for a layer, "{e}" for an expert.
struct NamePattern {
  std::string_view pattern;
  TensorKind kind;
  Slicing slicing = Slicing::kWhole;
};

constexpr NamePattern kHuggingFaceNames[] = {
    {"model.embed_tokens.weight", TensorKind::kTokenEmbedding},
    {"model.layers.{l}.input_layernorm.weight", TensorKind::kAttentionNorm},
    {"model.layers.{l}.self_attn.q_proj.weight", TensorKind::kQuery},
    {"model.layers.{l}.self_attn.k_proj.weight", TensorKind::kKey},
    {"model.layers.{l}.self_attn.v_proj.weight", TensorKind::kValue},
    {"model.layers.{l}.self_attn.o_proj.weight", TensorKind::kAttentionOutput},
    {"model.layers.{l}.post_attention_layernorm.weight", TensorKind::kMoeNorm},
    {"model.layers.{l}.block_sparse_moe.gate.weight", TensorKind::kRouter},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w1.weight", TensorKind::kGateProj},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w3.weight", TensorKind::kUpProj},
    {"model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight", TensorKind::kDownProj},
    {"model.layers.{l}.mlp.gate.weight", TensorKind::kRouter},
    {"model.layers.{l}.mlp.experts.gate_up_proj", TensorKind::kGateProj, Slicing::kGateUp},
    {"model.layers.{l}.mlp.experts.down_proj", TensorKind::kDownProj, Slicing::kExperts},
    {"model.norm.weight", TensorKind::kFinalNorm},
    {"lm_head.weight", TensorKind::kOutputHead},
};

constexpr NamePattern kGgufNames[] = {
    {"token_embd.weight", TensorKind::kTokenEmbedding},
    {"blk.{l}.attn_norm.weight", TensorKind::kAttentionNorm},
    {"blk.{l}.attn_q.weight", TensorKind::kQuery},
    {"blk.{l}.attn_k.weight", TensorKind::kKey},
    {"blk.{l}.attn_v.weight", TensorKind::kValue},
    {"blk.{l}.attn_output.weight", TensorKind::kAttentionOutput},
    {"blk.{l}.ffn_norm.weight", TensorKind::kMoeNorm},
    {"blk.{l}.ffn_gate_inp.weight", TensorKind::kRouter},
    {"blk.{l}.ffn_gate_exps.weight", TensorKind::kGateProj, Slicing::kExperts},
    {"blk.{l}.ffn_up_exps.weight", TensorKind::kUpProj, Slicing::kExperts},
    {"blk.{l}.ffn_down_exps.weight", TensorKind::kDownProj, Slicing::kExperts},
    {"blk.{l}.ffn_gate.{e}.weight", TensorKind::kGateProj},
    {"blk.{l}.ffn_up.{e}.weight", TensorKind::kUpProj},
    {"blk.{l}.ffn_down.{e}.weight", TensorKind::kDownProj},
    {"output_norm.weight", TensorKind::kFinalNorm},
    {"output.weight", TensorKind::kOutputHead},
};

std::span<const NamePattern> NamesOf(Layout layout) {
  switch (layout) {
    case Layout::kHuggingFace:
      return kHuggingFaceNames;
    case Layout::kGguf:
      return kGgufNames;
  }
  MOESCOPE_CHECK(false);
  return {};
}

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
  TensorRole role{row.kind, row.slicing};
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

}  // namespace

std::optional<TensorRole> RoleOf(Layout layout, std::string_view name) {
  for (const NamePattern& row : NamesOf(layout)) {
    if (std::optional<TensorRole> role = Match(row, name)) return role;
  }
  return std::nullopt;
}

std::string ExpectedName(Layout layout, TensorId id) {
  for (const NamePattern& row : NamesOf(layout)) {
    if (row.kind != id.kind) continue;
    std::string name(row.pattern);
    auto fill = [&name](std::string_view hole, int index) {
      if (size_t at = name.find(hole); at != std::string::npos) {
        name.replace(at, hole.size(), std::to_string(index));
      }
    };
    fill("{l}", id.layer);
    fill("{e}", id.expert);
    return name;
  }
  return std::string(Name(id.kind));
}

bool IsDerived(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace moescope::files
