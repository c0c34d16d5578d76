// The families of models we run, as data: what each is called, how its files name things, and what
// of its arithmetic the configuration leaves unsaid. A family whose arithmetic is already here is
// one row; docs/adding-a-model-family.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "files/model_config.h"
#include "files/tensor_names.h"

namespace moescope::files {

// Members of config.json that families call differently; nullptr: the family has none.
struct ConfigKeys {
  const char* model_dim = "hidden_size";
  const char* n_layers = "num_hidden_layers";
  const char* n_heads = "num_attention_heads";
  const char* n_kv_heads = "num_key_value_heads";
  const char* ffn_dim = "intermediate_size";
  const char* context = "max_position_embeddings";
  const char* norm_eps = "rms_norm_eps";
  const char* activation = "hidden_act";
  const char* activation_name = "silu";           // the one we run
  const char* n_experts[2] = {nullptr, nullptr};  // either name; both nullptr: dense
  const char* sliding_window = nullptr;
  const char* normalise_routing_weights = nullptr;
};

struct Family {
  std::string_view name;                    // ModelConfig::architecture
  std::string_view title;                   // for people
  std::string_view model_type, class_name;  // in config.json
  std::string_view gguf_architecture;
  RopeLayout gguf_rope_layout = RopeLayout::kHalves;
  bool gguf_normalises_routing_weights = true;  // where the file has no key for it
  bool gguf_names_expert_ffn_dim = false;       // beside feed_forward_length
  ConfigKeys keys = {};
  const NameScheme* names = nullptr;  // of Hugging Face's layout

  // What the configuration does not say, and what holds where it is silent (a rope_theta of 0: it
  // may not be).
  ModelConfig defaults = {};
  // Members that must be absent, null, or this value, since another would change the arithmetic.
  struct Fixed {
    const char* key;
    std::string_view value;  // as JSON
  };
  std::span<const Fixed> fixed = {};

  bool has_experts() const { return keys.n_experts[0] != nullptr; }
};

std::span<const Family> Families();
// Null for an unknown one.
const Family* FindFamilyByModelType(std::string_view model_type);
const Family* FindFamilyByClass(std::string_view class_name);
// GGUF calls Mixtral, Mistral and Llama `llama`: experts tell them apart.
const Family* FindFamilyByGguf(std::string_view architecture, bool has_experts);
// By ModelConfig::architecture. Requires: it is a family's name.
const Family& FamilyOf(const ModelConfig& config);
// "Mixtral (MixtralForCausalLM), Llama (LlamaForCausalLM), ...": for messages.
std::string KnownFamilies();

}  // namespace moescope::files
