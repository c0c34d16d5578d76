// Mistral's params.json to ModelConfig.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "files/config_object.h"
#include "files/limits.h"
#include "files/model_config.h"

namespace moescope::files {
namespace {

using nlohmann::json;

// Mixtral's and Mistral's context where the file has none, as published ones do.
constexpr int kDefaultContext = 32'768;

constexpr std::string_view kKnown[] = {
    "dim",        "n_layers",       "head_dim",      "hidden_dim",      "n_heads",
    "n_kv_heads", "norm_eps",       "vocab_size",    "rope_theta",      "sliding_window",
    "moe",        "max_seq_len",    "model_type",    "tied_embeddings", "max_position_embeddings",
    "use_biases", "max_batch_size", "model_parallel"};
constexpr std::string_view kKnownOfMoe[] = {"num_experts", "num_experts_per_tok"};

template <size_t N>
void CheckKnown(const ConfigObject& object, const json& members,
                const std::string_view (&known)[N]) {
  for (const auto& [key, value] : members.items()) {
    if (value.is_null() || std::ranges::find(known, key) != std::end(known)) continue;
    object.Unsupported(key.substr(0, 60), fmt::format("{}", fmt::join(known, ", ")),
                       "a member that may change the arithmetic");
  }
}

}  // namespace

ModelConfig ParseParamsJson(const std::string& text, const std::string& path) {
  json document = ParseConfigObject(text, path);
  ConfigObject object(document, path);
  CheckKnown(object, document, kKnown);
  ModelConfig config;
  config.rope_layout = RopeLayout::kInterleaved;
  config.model_dim = object.Integer("dim", 1, kMaxModelDim);
  config.n_layers = object.Integer("n_layers", 1, kMaxLayers);
  config.n_heads = object.Integer("n_heads", 1, kMaxHeads);
  config.n_kv_heads = object.IntegerOr("n_kv_heads", 1, config.n_heads, config.n_heads);
  if (object.Find("head_dim") == nullptr && config.model_dim % config.n_heads != 0) {
    object.Refuse("n_heads", fmt::format("a divisor of dim {}", config.model_dim),
                  std::to_string(config.n_heads));
  }
  config.head_dim = object.IntegerOr("head_dim", 1, kMaxHeadDim, config.model_dim / config.n_heads);
  config.ffn_dim = object.Integer("hidden_dim", 1, kMaxFfnDim);
  config.vocab_size = object.Integer("vocab_size", 1, kMaxVocabSize);
  config.context =
      object.IntegerOr("max_position_embeddings", 1, kMaxContext,
                       object.IntegerOr("max_seq_len", 1, kMaxContext, kDefaultContext));
  config.norm_eps = object.Number("norm_eps");
  config.sliding_window = object.IntegerOr("sliding_window", 0, INT32_MAX, 0);
  // As the reference implementation does where the file is silent.
  config.rope_theta = object.NumberOr("rope_theta", config.sliding_window > 0 ? 1e4 : 1e6);
  if (config.sliding_window >= config.context) config.sliding_window = 0;
  config.tied_embeddings = object.BooleanOr("tied_embeddings", false);
  if (object.BooleanOr("use_biases", false)) object.Unsupported("use_biases", "false", "true");
  config.architecture = "mistral";
  if (const json* moe = object.Find("moe"); moe != nullptr) {
    if (!moe->is_object()) object.Refuse("moe", "an object", ConfigObject::Found(moe));
    ConfigObject experts(*moe, path);
    CheckKnown(experts, *moe, kKnownOfMoe);
    config.architecture = "mixtral";
    config.n_experts = experts.Integer("num_experts", 1, kMaxExperts);
    config.experts_per_token = experts.Integer("num_experts_per_tok", 1, config.n_experts);
  }
  CheckModelConfig(config, path);
  return config;
}

}  // namespace moescope::files
