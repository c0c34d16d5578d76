// Hugging Face's config.json to ModelConfig: nothing that would change the arithmetic is ignored.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/json_events.h"
#include "files/limits.h"
#include "files/model_config.h"

namespace moescope::files {
namespace {

using nlohmann::json;

constexpr const char* kKnownArchitectures = "mixtral (MixtralForCausalLM)";

// Typed access to one object of the file; messages name file and key.
class ConfigObject {
 public:
  ConfigObject(const json& object, const std::string& path) : object_(object), path_(path) {}

  // Null counts as absent: transformers writes null for "the default".
  const json* Find(const char* key) const {
    auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  int Integer(const char* key, int64_t low, int64_t high) const {
    const json* value = Find(key);
    if (value == nullptr)
      Refuse(key, fmt::format("an integer from {} to {}", low, high), "nothing");
    return Checked(key, *value, low, high);
  }
  int IntegerOr(const char* key, int64_t low, int64_t high, int fallback) const {
    const json* value = Find(key);
    return value == nullptr ? fallback : Checked(key, *value, low, high);
  }
  double Number(const char* key) const {
    const json* value = Find(key);
    if (value == nullptr || !value->is_number()) Refuse(key, "a number", Found(value));
    return value->get<double>();
  }
  bool BooleanOr(const char* key, bool fallback) const {
    const json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) Refuse(key, "true or false", Found(value));
    return value->get<bool>();
  }
  std::string TextOr(const char* key, const std::string& fallback) const {
    const json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) Refuse(key, "a string", Found(value));
    return value->get<std::string>();
  }
  // Token ids may be a list (several end-of-text tokens): the first counts.
  int TokenIdOr(const char* key, int fallback) const {
    const json* value = Find(key);
    if (value != nullptr && value->is_array()) {
      if (value->empty()) Refuse(key, "a token id", "an empty list");
      value = &value->front();
    }
    return value == nullptr ? fallback : Checked(key, *value, 0, kMaxVocabSize - 1);
  }
  [[noreturn]] void Refuse(const std::string& key, const std::string& expected,
                           const std::string& found) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use configuration: {}: {}: expected {}, found {}", path_, key,
                            expected, found));
  }
  [[noreturn]] void Unsupported(const std::string& key, const std::string& supported,
                                const std::string& found) const {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot run this model: {}: {}: supported is {}, found {}", path_, key,
                            supported, found));
  }
  static std::string Found(const json* value) {
    if (value == nullptr) return "nothing";
    // What is shown comes from the file, so it is kept short and escaped.
    if (value->is_structured()) return value->type_name();
    return value->dump(-1, ' ', true).substr(0, 60);
  }

 private:
  int Checked(const char* key, const json& value, int64_t low, int64_t high) const {
    bool integer = value.is_number_integer() &&
                   !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
    if (!integer || value.get<int64_t>() < low || value.get<int64_t>() > high) {
      Refuse(key, fmt::format("an integer from {} to {}", low, high), Found(&value));
    }
    return static_cast<int>(value.get<int64_t>());
  }
  const json& object_;
  const std::string& path_;
};

[[noreturn]] void ThrowUnknownArchitecture(const std::string& path, const std::string& name) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot run this model: {}: unknown architecture {}; known: {}", path,
                          name, kKnownArchitectures));
}

void CheckArchitecture(const ConfigObject& config, const std::string& path) {
  const json* type = config.Find("model_type");
  const json* classes = config.Find("architectures");
  if (type == nullptr && classes == nullptr) {
    config.Refuse("model_type", fmt::format("an architecture such as {}", kKnownArchitectures),
                  "nothing");
  }
  if (type != nullptr && *type != "mixtral") {
    ThrowUnknownArchitecture(path, ConfigObject::Found(type));
  }
  if (classes == nullptr) return;
  if (!classes->is_array() || classes->size() != 1) {
    config.Refuse("architectures", "a list of one class name", ConfigObject::Found(classes));
  }
  if (classes->front() != "MixtralForCausalLM") {
    ThrowUnknownArchitecture(path, ConfigObject::Found(&classes->front()));
  }
}

// Old files have rope_theta and rope_scaling beside the rest, new ones inside rope_parameters.
double ReadRope(const ConfigObject& config, const std::string& path) {
  if (const json* scaling = config.Find("rope_scaling"); scaling != nullptr) {
    config.Unsupported("rope_scaling", "none", ConfigObject::Found(scaling));
  }
  const json* parameters = config.Find("rope_parameters");
  if (parameters == nullptr) return config.Number("rope_theta");
  if (!parameters->is_object()) {
    config.Refuse("rope_parameters", "an object", ConfigObject::Found(parameters));
  }
  ConfigObject rope(*parameters, path);
  std::string type = rope.TextOr("rope_type", "default");
  if (type != "default") rope.Unsupported("rope_parameters.rope_type", "default", type);
  double theta = rope.Number("rope_theta");
  if (config.Find("rope_theta") != nullptr && config.Number("rope_theta") != theta) {
    config.Refuse("rope_theta", "the value in rope_parameters",
                  fmt::format("{}", config.Number("rope_theta")));
  }
  return theta;
}

// Settings that change the arithmetic in ways we do not follow are refused, never ignored.
void CheckUnsupported(const ConfigObject& config, int context) {
  std::string activation = config.TextOr("hidden_act", "silu");
  if (activation != "silu") config.Unsupported("hidden_act", "silu", activation);
  int window = config.IntegerOr("sliding_window", 0, INT32_MAX, 0);
  if (window != 0 && window < context) {
    config.Unsupported("sliding_window", "null or at least the context", std::to_string(window));
  }
  if (config.BooleanOr("attention_bias", false)) {
    config.Unsupported("attention_bias", "false", "true");
  }
  if (config.Find("quantization_config") != nullptr) {
    config.Unsupported("quantization_config", "none (F32, F16, BF16)", "one");
  }
}

}  // namespace

ModelConfig ParseConfigJson(const std::string& text, const std::string& path) {
  if (text.size() > kMaxConfigBytes) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use configuration: {}: expected at most {} bytes, found {}",
                            path, kMaxConfigBytes, text.size()));
  }
  CheckJson(text, path);
  json document = json::parse(text);
  if (!document.is_object()) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot use configuration: {}: expected an object, found {}", path,
                            document.type_name()));
  }
  ConfigObject object(document, path);
  CheckArchitecture(object, path);

  ModelConfig config;
  config.architecture = "mixtral";
  config.model_dim = object.Integer("hidden_size", 1, kMaxModelDim);
  config.n_layers = object.Integer("num_hidden_layers", 1, kMaxLayers);
  config.n_heads = object.Integer("num_attention_heads", 1, kMaxHeads);
  config.n_kv_heads = object.IntegerOr("num_key_value_heads", 1, config.n_heads, config.n_heads);
  if (object.Find("head_dim") == nullptr && config.model_dim % config.n_heads != 0) {
    object.Refuse("num_attention_heads",
                  fmt::format("a divisor of hidden_size {}", config.model_dim),
                  std::to_string(config.n_heads));
  }
  config.head_dim = object.IntegerOr("head_dim", 1, kMaxHeadDim, config.model_dim / config.n_heads);
  config.ffn_dim = object.Integer("intermediate_size", 1, kMaxFfnDim);
  config.vocab_size = object.Integer("vocab_size", 1, kMaxVocabSize);
  config.context = object.Integer("max_position_embeddings", 1, kMaxContext);
  config.n_experts = object.Integer("num_local_experts", 1, kMaxExperts);
  config.experts_per_token = object.Integer("num_experts_per_tok", 1, config.n_experts);
  config.rms_eps = object.Number("rms_norm_eps");
  config.rope_theta = ReadRope(object, path);
  config.tied_embeddings = object.BooleanOr("tie_word_embeddings", false);
  config.bos_id = object.TokenIdOr("bos_token_id", -1);
  config.eos_id = object.TokenIdOr("eos_token_id", -1);
  CheckUnsupported(object, config.context);
  CheckModelConfig(config, path);
  return config;
}

}  // namespace moescope::files
