#include "files/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/error.h"
#include "files/limits.h"
#include "files/tensor_kind.h"

namespace moescope::files {
namespace {

[[noreturn]] void Refuse(const std::string& origin, const std::string& key,
                         const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use configuration: {}: {}: expected {}, found {}", origin, key,
                          expected, found));
}

void CheckRope(const ModelConfig& config, const std::string& origin) {
  auto check = [&](const char* key, double value, double low, double high) {
    if (value >= low && value <= high) return;  // NaN is not
    Refuse(origin, key, fmt::format("a number from {} to {}", low, high), fmt::format("{}", value));
  };
  if (config.head_dim % 2 != 0) {
    Refuse(origin, "head_dim", "an even number (rotary embedding turns pairs)",
           std::to_string(config.head_dim));
  }
  check("rope_theta", config.rope_theta, 1, 1e15);
  const RopeScaling& scaling = config.rope_scaling;
  check("rope scaling factor", scaling.factor, 1e-3, 1e6);
  check("rope attention_factor", scaling.attention_factor, 1e-3, 1e3);
  if (scaling.kind == RopeScaling::Kind::kLlama3 || scaling.kind == RopeScaling::Kind::kYarn) {
    check("original_max_position_embeddings", scaling.original_context, 1, kMaxContext);
  }
  if (scaling.kind == RopeScaling::Kind::kLlama3) {
    check("low_freq_factor", scaling.low_frequency_factor, 1e-3, 1e6);
    check("high_freq_factor", scaling.high_frequency_factor,
          std::nextafter(scaling.low_frequency_factor, 1e9), 1e6);
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    check("beta_slow", scaling.beta_slow, 1e-3, 1e6);
    check("beta_fast", scaling.beta_fast, scaling.beta_slow, 1e6);
  }
}

}  // namespace

void ModelConfig::AddEndId(int id) {
  if (id >= 0 && std::find(end_ids.begin(), end_ids.end(), id) == end_ids.end()) {
    end_ids.push_back(id);
  }
}

void CheckModelConfig(const ModelConfig& config, const std::string& origin) {
  struct Range {
    const char* key;
    int64_t value, low, high;
  };
  const bool moe = !config.dense();
  const Range ranges[] = {
      {"model_dim", config.model_dim, 1, kMaxModelDim},
      {"n_layers", config.n_layers, 1, kMaxLayers},
      {"n_heads", config.n_heads, 1, kMaxHeads},
      {"n_kv_heads", config.n_kv_heads, 1, config.n_heads},
      {"head_dim", config.head_dim, 2, kMaxHeadDim},
      {"ffn_dim", config.ffn_dim, 1, kMaxFfnDim},
      {"vocab_size", config.vocab_size, 1, kMaxVocabSize},
      {"context", config.context, 1, kMaxContext},
      {"n_experts", config.n_experts, 0, kMaxExperts},
      {"experts_per_token", config.experts_per_token, moe ? 1 : 0, config.n_experts},
      {"sliding_window", config.sliding_window, 0, INT32_MAX},
      {"bos_id", config.bos_id, -1, int64_t{config.vocab_size} - 1},
      {"eos_id", config.eos_id, -1, int64_t{config.vocab_size} - 1},
  };
  for (int id : config.end_ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    Refuse(origin, "eos_token_id", fmt::format("ids below {}", config.vocab_size),
           std::to_string(id));
  }
  for (const Range& range : ranges) {
    if (range.value < range.low || range.value > range.high) {
      Refuse(origin, range.key, fmt::format("{} to {}", range.low, range.high),
             std::to_string(range.value));
    }
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    Refuse(origin, "n_kv_heads", fmt::format("a divisor of the {} heads", config.n_heads),
           std::to_string(config.n_kv_heads));
  }
  // Negated comparisons, so that NaN is refused too.
  if (!(config.norm_eps > 0 && config.norm_eps < 1)) {
    Refuse(origin, "norm_eps", "a number between 0 and 1", fmt::format("{}", config.norm_eps));
  }
  if (config.positions == PositionKind::kRotary) CheckRope(config, origin);
}

ParameterCounts CountParameters(const ModelConfig& config, int experts_per_token) {
  if (experts_per_token == 0) experts_per_token = config.experts_per_token;
  ParameterCounts counts;
  for (TensorKind kind : AllTensorKinds()) {
    if (kind == TensorKind::kRopeFactors) continue;  // a table, not learned
    if (kind == TensorKind::kOutputHead && config.tied_embeddings) continue;
    if (!HasTensor(kind, config)) continue;
    uint64_t one = 1;
    for (int64_t dim : ShapeOf(kind, config)) one *= static_cast<uint64_t>(dim);
    uint64_t all = one * CountOf(kind, config);
    counts.total += all;
    switch (GroupOf(kind)) {
      case TensorGroup::kEmbeddings:
      case TensorGroup::kHead:
        counts.embeddings += all;
        break;
      case TensorGroup::kAttention:
        counts.attention += all;
        break;
      case TensorGroup::kNorms:
        counts.norms += all;
        break;
      case TensorGroup::kRouter:
        counts.router += all;
        break;
      case TensorGroup::kExperts:
        counts.one_expert += one;
        counts.all_experts += all;
        break;
    }
  }
  const int idle = config.dense() ? 0 : config.n_experts - experts_per_token;
  counts.active = counts.total - static_cast<uint64_t>(idle) *
                                     static_cast<uint64_t>(config.n_layers) * counts.one_expert;
  return counts;
}

}  // namespace moescope::files
