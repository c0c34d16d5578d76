#include "files/gguf_config.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "files/family.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

std::string KnownGgufArchitectures() {
  std::string known;
  for (const Family& family : Families()) {
    known +=
        fmt::format("{}{} ({})", known.empty() ? "" : ", ", family.gguf_architecture, family.title);
  }
  return known;
}

// Reads one architecture's keys, which all begin with its name.
class ConfigReader {
 public:
  ConfigReader(const GgufKeys& keys, std::string architecture,
               const std::set<std::string_view>& tensors)
      : keys_(keys), prefix_(std::move(architecture) + "."), tensors_(tensors) {}

  ModelConfig Read(const Family& family, int64_t vocab_rows) {
    ModelConfig config = family.defaults;
    config.architecture = family.name;
    config.rope_layout = family.gguf_rope_layout;
    ReadSizes(config, vocab_rows);
    ReadExperts(family, config);
    config.norm_eps =
        keys_.Number(Key(config.norm == NormKind::kLayer ? "attention.layer_norm_epsilon"
                                                         : "attention.layer_norm_rms_epsilon"));
    if (config.positions == PositionKind::kRotary) ReadRope(config);
    config.sliding_window = keys_.IntegerOr(Key("attention.sliding_window"), 0, INT32_MAX, 0);
    if (config.sliding_window >= config.context) config.sliding_window = 0;
    config.qkv_bias = Has("blk.0.attn_q.bias") || Has("blk.0.attn_qkv.bias");
    config.output_bias = Has("blk.0.attn_output.bias");
    config.feed_forward_bias = Has("blk.0.ffn_up.bias");
    config.tied_embeddings = !Has("output.weight");
    CheckUnsupported(config);
    return config;
  }

 private:
  std::string Key(std::string_view name) const { return prefix_ + std::string(name); }
  bool Has(std::string_view tensor) const { return tensors_.contains(tensor); }
  int Size(std::string_view name, int64_t high) const { return keys_.Integer(Key(name), 1, high); }

  void ReadSizes(ModelConfig& config, int64_t vocab_rows) const {
    config.model_dim = Size("embedding_length", kMaxModelDim);
    config.n_layers = Size("block_count", kMaxLayers);
    config.n_heads = Size("attention.head_count", kMaxHeads);
    config.n_kv_heads =
        keys_.IntegerOr(Key("attention.head_count_kv"), 1, config.n_heads, config.n_heads);
    if (!keys_.Has(Key("attention.key_length")) && config.model_dim % config.n_heads != 0) {
      keys_.Refuse(Key("attention.head_count"),
                   fmt::format("a divisor of embedding_length {}", config.model_dim),
                   std::to_string(config.n_heads));
    }
    config.head_dim = keys_.IntegerOr(Key("attention.key_length"), 1, kMaxHeadDim,
                                      config.model_dim / config.n_heads);
    config.context = Size("context_length", kMaxContext);
    const bool rows_tell = !keys_.Has(Key("vocab_size")) && vocab_rows > 0;
    config.vocab_size = rows_tell && vocab_rows <= kMaxVocabSize
                            ? static_cast<int>(vocab_rows)
                            : Size("vocab_size", kMaxVocabSize);
  }

  void ReadExperts(const Family& family, ModelConfig& config) const {
    if (!family.has_experts()) {
      config.ffn_dim = Size("feed_forward_length", kMaxFfnDim);
      return;
    }
    const bool own = keys_.Has(Key("expert_feed_forward_length"));
    config.ffn_dim = Size(own ? "expert_feed_forward_length" : "feed_forward_length", kMaxFfnDim);
    config.n_experts = Size("expert_count", kMaxExperts);
    config.experts_per_token = Size("expert_used_count", config.n_experts);
    config.normalise_routing_weights =
        keys_.BooleanOr(Key("expert_weights_norm"), family.gguf_normalises_routing_weights);
  }

  void ReadRope(ModelConfig& config) const {
    config.rope_theta = keys_.NumberOr(Key("rope.freq_base"), 10000);
    RopeScaling& scaling = config.rope_scaling;
    const double old_factor = keys_.NumberOr(Key("rope.scale_linear"), 1);
    const std::string type =
        keys_.TextOr(Key("rope.scaling.type"), old_factor != 1 ? "linear" : "none");
    scaling.factor = keys_.NumberOr(Key("rope.scaling.factor"), old_factor);
    if (type == "yarn") {
      scaling.kind = RopeScaling::Kind::kYarn;
      scaling.original_context = keys_.IntegerOr(Key("rope.scaling.original_context_length"), 1,
                                                 kMaxContext, config.context);
      scaling.beta_fast = keys_.NumberOr(Key("rope.scaling.yarn_beta_fast"), 32);
      scaling.beta_slow = keys_.NumberOr(Key("rope.scaling.yarn_beta_slow"), 1);
      scaling.attention_factor = keys_.NumberOr(Key("rope.scaling.attn_factor"), 1) *
                                 (0.1 * std::log(std::max(scaling.factor, 1.0)) + 1);
      if (keys_.NumberOr(Key("rope.scaling.yarn_log_multiplier"), 0) != 0) {
        keys_.Unsupported(Key("rope.scaling.yarn_log_multiplier"), "none", "one");
      }
    } else if (type == "linear" && scaling.factor != 1) {
      scaling.kind = RopeScaling::Kind::kLinear;
    } else if (type != "none" && type != "linear") {
      keys_.Unsupported(Key("rope.scaling.type"), "none, linear or yarn", type.substr(0, 60));
    }
    if (!Has("rope_freqs.weight")) return;
    if (scaling.kind != RopeScaling::Kind::kNone) {
      keys_.Unsupported(Key("rope.scaling.type"), "none beside rope_freqs.weight",
                        type.substr(0, 60));
    }
    scaling.kind = RopeScaling::Kind::kFactors;
  }

  // Settings that change the arithmetic in ways we do not follow are refused, never ignored.
  void CheckUnsupported(const ModelConfig& config) const {
    auto require = [&](std::string_view name, int value, std::string_view meaning) {
      int found = keys_.IntegerOr(Key(name), 0, INT32_MAX, value);
      if (found == value) return;
      keys_.Unsupported(Key(name), fmt::format("{} ({})", value, meaning), std::to_string(found));
    };
    if (config.positions == PositionKind::kRotary) {
      require("rope.dimension_count", config.head_dim, "the whole head");
    }
    require("attention.value_length", config.head_dim, "as the keys");
    require("expert_gating_func", 1, "softmax");
    require("expert_shared_count", 0, "no shared experts");
    require("leading_dense_block_count", 0, "experts in every layer");
    double scale = keys_.NumberOr(Key("expert_weights_scale"), 1);
    if (scale != 1) {
      keys_.Unsupported(Key("expert_weights_scale"), "1", fmt::format("{}", scale));
    }
    if (keys_.NumberOr(Key("attention.clamp_kqv"), 0) != 0) {
      keys_.Unsupported(Key("attention.clamp_kqv"), "none", "one");
    }
  }

  const GgufKeys& keys_;
  const std::string prefix_;
  const std::set<std::string_view>& tensors_;
};

}  // namespace

ModelConfig ReadGgufConfig(const GgufKeys& keys, const std::string& path,
                           const std::set<std::string_view>& tensors, int64_t vocab_rows) {
  if (!keys.Has("general.architecture")) {
    keys.Refuse("general.architecture", fmt::format("one of {}", KnownGgufArchitectures()),
                "no such key");
  }
  std::string architecture = keys.TextOr("general.architecture", "");
  const std::string experts = architecture.substr(0, 100) + ".expert_count";
  const bool has_experts = keys.IntegerOr(experts, 0, kMaxExperts, 0) > 0;
  if (!has_experts && keys.Has(experts) && tensors.contains("blk.0.ffn_gate_inp.weight")) {
    keys.Refuse(experts, fmt::format("1 to {}, as there are routers", kMaxExperts), "0");
  }
  const Family* family = FindFamilyByGguf(architecture, has_experts);
  if (family == nullptr) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot run this model: {}: unknown architecture '{}'{}; known: {}",
                            path, architecture.substr(0, 60), has_experts ? " with experts" : "",
                            KnownGgufArchitectures()));
  }
  return ConfigReader(keys, std::move(architecture), tensors).Read(*family, vocab_rows);
}

}  // namespace moescope::files
