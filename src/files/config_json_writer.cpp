#include "files/config_json_writer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/family.h"

namespace moescope::files {
namespace {

using nlohmann::ordered_json;

std::string_view TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    default:
      return "float32";
  }
}

// Null stands for "none": a member left out would mean transformers' default.
ordered_json TokenId(int id) {
  return id < 0 ? ordered_json() : ordered_json(id);
}

ordered_json Scaling(const RopeScaling& scaling) {
  ordered_json object;
  auto begin = [&](const char* type) {
    object["rope_type"] = type;
    object["type"] = type;  // the name of the member until 2024
    object["factor"] = scaling.factor;
  };
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
    case RopeScaling::Kind::kFactors:  // config.json has no word for it
      break;
    case RopeScaling::Kind::kLinear:
      begin("linear");
      break;
    case RopeScaling::Kind::kLlama3:
      begin("llama3");
      object["low_freq_factor"] = scaling.low_frequency_factor;
      object["high_freq_factor"] = scaling.high_frequency_factor;
      object["original_max_position_embeddings"] = static_cast<int64_t>(scaling.original_context);
      break;
    case RopeScaling::Kind::kYarn:
      begin("yarn");
      object["original_max_position_embeddings"] = static_cast<int64_t>(scaling.original_context);
      object["beta_fast"] = scaling.beta_fast;
      object["beta_slow"] = scaling.beta_slow;
      object["attention_factor"] = scaling.attention_factor;
      if (!scaling.truncate) object["truncate"] = false;
      break;
  }
  return object;
}

void AddSizes(const ModelConfig& config, const Family& family, ordered_json& object) {
  const ConfigKeys& keys = family.keys;
  object["vocab_size"] = config.vocab_size;
  object[keys.context] = config.context;
  object[keys.model_dim] = config.model_dim;
  object[keys.n_layers] = config.n_layers;
  object[keys.n_heads] = config.n_heads;
  if (keys.n_kv_heads != nullptr) object[keys.n_kv_heads] = config.n_kv_heads;
  if (config.positions == PositionKind::kRotary) object["head_dim"] = config.head_dim;
  object[keys.ffn_dim] = config.ffn_dim;
  object[keys.activation] = keys.activation_name;
  object[keys.norm_eps] = config.norm_eps;
}

void AddExperts(const ModelConfig& config, const ConfigKeys& keys, ordered_json& object) {
  if (keys.n_experts[0] == nullptr) return;
  object[keys.n_experts[0]] = config.n_experts;
  object["num_experts_per_tok"] = config.experts_per_token;
  if (keys.normalise_routing_weights != nullptr) {
    object[keys.normalise_routing_weights] = config.normalise_routing_weights;
  }
}

void AddRope(const ModelConfig& config, ordered_json& object) {
  if (config.positions != PositionKind::kRotary) return;
  object["rope_theta"] = config.rope_theta;
  object["rope_scaling"] = Scaling(config.rope_scaling);
}

// What two configurations may differ in without another arithmetic: numbers that the kind of
// scaling does not use.
ModelConfig Essential(ModelConfig config) {
  const RopeScaling scaling = config.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::kNone) config.rope_scaling = {};
  if (scaling.kind == RopeScaling::Kind::kLinear) {
    config.rope_scaling = {.kind = scaling.kind, .factor = scaling.factor};
  }
  return config;
}

// The first thing the two differ in, for people.
std::string Difference(const ModelConfig& wanted, const ModelConfig& read) {
  if (wanted.qkv_bias != read.qkv_bias || wanted.output_bias != read.output_bias ||
      wanted.feed_forward_bias != read.feed_forward_bias) {
    return "these biases";
  }
  if (wanted.rope_scaling != read.rope_scaling) return "this rotary scaling";
  if (wanted.sliding_window != read.sliding_window) return "a sliding window";
  if (wanted.normalise_routing_weights != read.normalise_routing_weights) {
    return "this normalisation of routing weights";
  }
  if (wanted.head_dim != read.head_dim) return fmt::format("heads of {}", wanted.head_dim);
  if (wanted.n_kv_heads != read.n_kv_heads) return fmt::format("{} kv heads", wanted.n_kv_heads);
  return "this configuration";
}

}  // namespace

std::string WriteConfigJson(const ModelConfig& config, DType dtype, const std::string& origin) {
  const Family& family = FamilyOf(config);
  ordered_json object = {{"architectures", {family.class_name}},
                         {"model_type", family.model_type},
                         {"torch_dtype", TorchName(dtype)}};
  AddSizes(config, family, object);
  AddExperts(config, family.keys, object);
  AddRope(config, object);
  if (family.keys.sliding_window != nullptr) {
    object[family.keys.sliding_window] =
        config.sliding_window > 0 ? ordered_json(config.sliding_window) : ordered_json();
  }
  object["tie_word_embeddings"] = config.tied_embeddings;
  object["bos_token_id"] = TokenId(config.bos_id);
  const bool several = config.end_ids.size() > 1;
  object["eos_token_id"] =
      several ? nlohmann::ordered_json(config.end_ids) : TokenId(config.eos_id);
  if (config.positions == PositionKind::kRotary) {
    object["attention_bias"] = config.qkv_bias && config.output_bias;
  }
  for (const Family::Fixed& fixed : family.fixed) {
    object[fixed.key] = ordered_json::parse(fixed.value);
  }
  std::string text = object.dump(2) + "\n";
  const ModelConfig wanted = Essential(config);
  const ModelConfig read = Essential(ParseConfigJson(text, origin));
  if (read == wanted) return text;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot write config.json: {}: a {} has no member for {}; write GGUF",
                          origin, family.class_name, Difference(wanted, read)));
}

}  // namespace moescope::files
