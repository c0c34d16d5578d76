#include "files/family.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::files {
namespace {

constexpr Family::Fixed kMixtralFixed[] = {{"attention_bias", "false"}};
constexpr Family::Fixed kLlamaFixed[] = {{"mlp_bias", "false"}, {"pretraining_tp", "1"}};
constexpr Family::Fixed kMistralFixed[] = {{"attention_bias", "false"}};
constexpr Family::Fixed kGpt2Fixed[] = {{"scale_attn_weights", "true"},
                                        {"scale_attn_by_inverse_layer_idx", "false"},
                                        {"add_cross_attention", "false"}};
constexpr Family::Fixed kOlmoeFixed[] = {{"clip_qkv", "null"}, {"attention_bias", "false"}};
constexpr Family::Fixed kQwen3MoeFixed[] = {{"decoder_sparse_step", "1"},
                                            {"mlp_only_layers", "[]"},
                                            {"use_sliding_window", "false"},
                                            {"attention_bias", "false"}};

const Family kFamilies[] = {
    {.name = "mixtral",
     .title = "Mixtral",
     .model_type = "mixtral",
     .class_name = "MixtralForCausalLM",
     .gguf_architecture = "llama",
     .gguf_rope_layout = RopeLayout::kInterleaved,
     .keys = {.n_experts = {"num_local_experts", "num_experts"},
              .sliding_window = "sliding_window"},
     .names = &kMixtralNames,
     .fixed = kMixtralFixed},
    {.name = "mistral",
     .title = "Mistral",
     .model_type = "mistral",
     .class_name = "MistralForCausalLM",
     .gguf_architecture = "llama",
     .gguf_rope_layout = RopeLayout::kInterleaved,
     .keys = {.sliding_window = "sliding_window"},
     .names = &kDenseDecoderNames,
     .defaults = {.rope_theta = 10000},
     .fixed = kMistralFixed},
    {.name = "llama",
     .title = "Llama",
     .model_type = "llama",
     .class_name = "LlamaForCausalLM",
     .gguf_architecture = "llama",
     .gguf_rope_layout = RopeLayout::kInterleaved,
     .names = &kDenseDecoderNames,
     .defaults = {.rope_theta = 10000},
     .fixed = kLlamaFixed},
    {.name = "gpt2",
     .title = "GPT-2",
     .model_type = "gpt2",
     .class_name = "GPT2LMHeadModel",
     .gguf_architecture = "gpt2",
     .keys = {.model_dim = "n_embd",
              .n_layers = "n_layer",
              .n_heads = "n_head",
              .n_kv_heads = nullptr,
              .ffn_dim = "n_inner",
              .context = "n_positions",
              .norm_eps = "layer_norm_epsilon",
              .activation = "activation_function",
              .activation_name = "gelu_new"},
     .names = &kGpt2Names,
     .defaults = {.norm = NormKind::kLayer,
                  .positions = PositionKind::kLearned,
                  .feed_forward = FeedForwardKind::kGelu,
                  .qkv_bias = true,
                  .output_bias = true,
                  .feed_forward_bias = true,
                  .tied_embeddings = true},
     .fixed = kGpt2Fixed},
    {.name = "olmoe",
     .title = "OLMoE",
     .model_type = "olmoe",
     .class_name = "OlmoeForCausalLM",
     .gguf_architecture = "olmoe",
     .gguf_normalises_routing_weights = false,
     .keys = {.n_experts = {"num_experts", "num_local_experts"},
              .normalise_routing_weights = "norm_topk_prob"},
     .names = &kExpertDecoderNames,
     .defaults = {.normalise_routing_weights = false,
                  .rope_theta = 10000,
                  .query_key_norm = QueryKeyNorm::kWholeRow},
     .fixed = kOlmoeFixed},
    {.name = "qwen3-moe",
     .title = "Qwen3-MoE",
     .model_type = "qwen3_moe",
     .class_name = "Qwen3MoeForCausalLM",
     .gguf_architecture = "qwen3moe",
     .gguf_names_expert_ffn_dim = true,
     .keys = {.ffn_dim = "moe_intermediate_size",
              .n_experts = {"num_experts", "num_local_experts"},
              .normalise_routing_weights = "norm_topk_prob"},
     .names = &kExpertDecoderNames,
     .defaults = {.normalise_routing_weights = false, .query_key_norm = QueryKeyNorm::kPerHead},
     .fixed = kQwen3MoeFixed},
};

template <typename Predicate>
const Family* FindIf(Predicate predicate) {
  for (const Family& family : kFamilies) {
    if (predicate(family)) return &family;
  }
  return nullptr;
}

}  // namespace

std::span<const Family> Families() {
  return kFamilies;
}

const Family* FindFamilyByModelType(std::string_view model_type) {
  return FindIf([&](const Family& family) { return family.model_type == model_type; });
}

const Family* FindFamilyByClass(std::string_view class_name) {
  return FindIf([&](const Family& family) { return family.class_name == class_name; });
}

const Family* FindFamilyByGguf(std::string_view architecture, bool has_experts) {
  // Of the dense ones `llama` means Llama: a Mistral differs by its window alone, which is a key.
  return FindIf([&](const Family& family) {
    return family.gguf_architecture == architecture && family.has_experts() == has_experts &&
           family.name != "mistral";
  });
}

const Family& FamilyOf(const ModelConfig& config) {
  const Family* family =
      FindIf([&](const Family& candidate) { return candidate.name == config.architecture; });
  MOESCOPE_CHECK(family != nullptr);
  return *family;
}

std::string KnownFamilies() {
  std::string names;
  for (const Family& family : kFamilies) {
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", family.title, family.class_name);
  }
  return names;
}

}  // namespace moescope::files
