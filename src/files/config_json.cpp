// Hugging Face's config.json to ModelConfig: nothing that would change the arithmetic is ignored.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/config_object.h"
#include "files/family.h"
#include "files/limits.h"
#include "files/model_config.h"

namespace moescope::files {
namespace {

using nlohmann::json;

[[noreturn]] void ThrowUnknownArchitecture(const std::string& path, const json& name) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot run this model: {}: unknown architecture {}; known: {}", path,
                          ConfigObject::Found(&name), KnownFamilies()));
}

// By model_type, by the class, or by both if they agree.
const Family& FindFamily(const ConfigObject& config, const std::string& path) {
  const json* type = config.Find("model_type");
  const json* classes = config.Find("architectures");
  if (type == nullptr && classes == nullptr) {
    config.Refuse("model_type", fmt::format("one of {}", KnownFamilies()), "nothing");
  }
  const Family* family = nullptr;
  if (type != nullptr) {
    family = type->is_string() ? FindFamilyByModelType(type->get<std::string>()) : nullptr;
    if (family == nullptr) ThrowUnknownArchitecture(path, *type);
  }
  if (classes == nullptr) return *family;
  if (!classes->is_array() || classes->size() != 1) {
    config.Refuse("architectures", "a list of one class name", ConfigObject::Found(classes));
  }
  const json& name = classes->front();
  const Family* by_class = name.is_string() ? FindFamilyByClass(name.get<std::string>()) : nullptr;
  if (by_class == nullptr || (family != nullptr && by_class != family)) {
    ThrowUnknownArchitecture(path, name);
  }
  return *by_class;
}

// Yarn's cosines and sines grow with the logarithm of the stretch, unless the file says how much.
double YarnAttentionFactor(const ConfigObject& rope, double factor) {
  if (rope.Find("attention_factor") != nullptr) return rope.Number("attention_factor");
  auto mscale = [factor](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1;
  };
  if (rope.Find("mscale") != nullptr && rope.Find("mscale_all_dim") != nullptr) {
    return mscale(rope.Number("mscale")) / mscale(rope.Number("mscale_all_dim"));
  }
  return mscale(1);
}

RopeScaling ReadScaling(const ConfigObject& rope, int context) {
  RopeScaling scaling;
  std::string type = rope.TextOr("rope_type", rope.TextOr("type", "default"));
  if (type == "default") {
    if (rope.NumberOr("factor", 1) != 1) rope.Refuse("rope_type", "the kind of scaling", "nothing");
    return scaling;
  }
  scaling.factor = rope.Number("factor");
  scaling.original_context = rope.Find("original_max_position_embeddings") == nullptr
                                 ? context
                                 : rope.Number("original_max_position_embeddings");
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (type == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_frequency_factor = rope.Number("low_freq_factor");
    scaling.high_frequency_factor = rope.Number("high_freq_factor");
  } else if (type == "yarn") {
    scaling.kind = RopeScaling::Kind::kYarn;
    scaling.beta_fast = rope.NumberOr("beta_fast", 32);
    scaling.beta_slow = rope.NumberOr("beta_slow", 1);
    scaling.truncate = rope.BooleanOr("truncate", true);
    scaling.attention_factor = YarnAttentionFactor(rope, scaling.factor);
  } else {
    rope.Unsupported("rope_type", "default, linear, llama3 or yarn", type.substr(0, 60));
  }
  return scaling;
}

// Old files have rope_theta and rope_scaling beside the rest, new ones all in rope_parameters.
void ReadRope(const ConfigObject& object, const std::string& path, ModelConfig& config) {
  auto theta_of = [&](const ConfigObject& from) {
    bool silent = from.Find("rope_theta") == nullptr && config.rope_theta > 0;
    return silent ? config.rope_theta : from.Number("rope_theta");
  };
  const char* nested =
      object.Find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const json* parameters = object.Find(nested);
  if (parameters == nullptr) {
    config.rope_theta = theta_of(object);
    return;
  }
  if (!parameters->is_object()) {
    object.Refuse(nested, "an object", ConfigObject::Found(parameters));
  }
  if (object.Find("rope_parameters") != nullptr && object.Find("rope_scaling") != nullptr) {
    object.Refuse("rope_scaling", "nothing beside rope_parameters", "an object");
  }
  ConfigObject rope(*parameters, path);
  const bool in_parameters = std::string_view(nested) == "rope_parameters";
  config.rope_theta = theta_of(in_parameters ? rope : object);
  if (in_parameters && object.Find("rope_theta") != nullptr &&
      object.Number("rope_theta") != config.rope_theta) {
    object.Refuse("rope_theta", "the value in rope_parameters",
                  fmt::format("{}", object.Number("rope_theta")));
  }
  if (rope.NumberOr("partial_rotary_factor", 1) != 1) {
    rope.Unsupported("partial_rotary_factor", "1",
                     ConfigObject::Found(rope.Find("partial_rotary_factor")));
  }
  config.rope_scaling = ReadScaling(rope, config.context);
}

// Settings that change the arithmetic in ways we do not follow are refused, never ignored.
void CheckUnsupported(const ConfigObject& config, const Family& family) {
  const ConfigKeys& keys = family.keys;
  std::string activation = config.TextOr(keys.activation, keys.activation_name);
  if (activation != keys.activation_name) {
    config.Unsupported(keys.activation, keys.activation_name, activation.substr(0, 60));
  }
  for (const Family::Fixed& fixed : family.fixed) {
    const json* value = config.Find(fixed.key);
    if (value != nullptr && *value != json::parse(fixed.value)) {
      config.Unsupported(fixed.key, std::string(fixed.value), ConfigObject::Found(value));
    }
  }
  if (config.NumberOr("partial_rotary_factor", 1) != 1) {
    config.Unsupported("partial_rotary_factor", "1",
                       ConfigObject::Found(config.Find("partial_rotary_factor")));
  }
  if (config.Find("quantization_config") != nullptr) {
    config.Unsupported("quantization_config", "none (F32, F16, BF16)", "one");
  }
}

void ReadSizes(const ConfigObject& object, const Family& family, ModelConfig& config) {
  const ConfigKeys& keys = family.keys;
  config.model_dim = object.Integer(keys.model_dim, 1, kMaxModelDim);
  config.n_layers = object.Integer(keys.n_layers, 1, kMaxLayers);
  config.n_heads = object.Integer(keys.n_heads, 1, kMaxHeads);
  config.n_kv_heads = keys.n_kv_heads == nullptr
                          ? config.n_heads
                          : object.IntegerOr(keys.n_kv_heads, 1, config.n_heads, config.n_heads);
  if (object.Find("head_dim") == nullptr && config.model_dim % config.n_heads != 0) {
    object.Refuse(keys.n_heads, fmt::format("a divisor of {} {}", keys.model_dim, config.model_dim),
                  std::to_string(config.n_heads));
  }
  config.head_dim = object.IntegerOr("head_dim", 1, kMaxHeadDim, config.model_dim / config.n_heads);
  // GPT-2 leaves the width of its feed-forward networks out: four times its own.
  config.ffn_dim = family.defaults.feed_forward == FeedForwardKind::kGelu
                       ? object.IntegerOr(keys.ffn_dim, 1, kMaxFfnDim, 4 * config.model_dim)
                       : object.Integer(keys.ffn_dim, 1, kMaxFfnDim);
  config.vocab_size = object.Integer("vocab_size", 1, kMaxVocabSize);
  config.context = object.Integer(keys.context, 1, kMaxContext);
}

void ReadExperts(const ConfigObject& object, const Family& family, ModelConfig& config) {
  const ConfigKeys& keys = family.keys;
  if (!family.has_experts()) return;
  const bool other =
      object.Find(keys.n_experts[0]) == nullptr && object.Find(keys.n_experts[1]) != nullptr;
  config.n_experts = object.Integer(keys.n_experts[other ? 1 : 0], 1, kMaxExperts);
  config.experts_per_token = object.Integer("num_experts_per_tok", 1, config.n_experts);
  if (keys.normalise_routing_weights != nullptr) {
    config.normalise_routing_weights =
        object.BooleanOr(keys.normalise_routing_weights, config.normalise_routing_weights);
  }
}

}  // namespace

ModelConfig ParseConfigJson(const std::string& text, const std::string& path) {
  json document = ParseConfigObject(text, path);
  ConfigObject object(document, path);
  const Family& family = FindFamily(object, path);

  ModelConfig config = family.defaults;
  config.architecture = family.name;
  ReadSizes(object, family, config);
  ReadExperts(object, family, config);
  config.norm_eps = object.Number(family.keys.norm_eps);
  if (config.positions == PositionKind::kRotary) ReadRope(object, path, config);
  if (family.keys.sliding_window != nullptr) {
    config.sliding_window = object.IntegerOr(family.keys.sliding_window, 0, INT32_MAX, 0);
    if (config.sliding_window >= config.context) config.sliding_window = 0;
  }
  if (object.BooleanOr("attention_bias", false)) config.qkv_bias = config.output_bias = true;
  config.tied_embeddings = object.BooleanOr("tie_word_embeddings", config.tied_embeddings);
  config.bos_id = object.TokenIdOr("bos_token_id", -1);
  config.eos_id = object.TokenIdOr("eos_token_id", -1);
  for (int id : object.TokenIds("eos_token_id")) config.AddEndId(id);
  CheckUnsupported(object, family);
  CheckModelConfig(config, path);
  return config;
}

std::vector<int> ParseGenerationConfig(const std::string& text, const std::string& path) {
  json document = ParseConfigObject(text, path);
  return ConfigObject(document, path).TokenIds("eos_token_id");
}

}  // namespace moescope::files
