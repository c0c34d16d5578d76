#include "files/model_config.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "base/error.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

[[noreturn]] void Refuse(const std::string& origin, const std::string& key,
                         const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use configuration: {}: {}: expected {}, found {}", origin, key,
                          expected, found));
}

}  // namespace

void CheckModelConfig(const ModelConfig& config, const std::string& origin) {
  struct Range {
    const char* key;
    int64_t value, low, high;
  };
  const Range ranges[] = {
      {"model_dim", config.model_dim, 1, kMaxModelDim},
      {"n_layers", config.n_layers, 1, kMaxLayers},
      {"n_heads", config.n_heads, 1, kMaxHeads},
      {"n_kv_heads", config.n_kv_heads, 1, config.n_heads},
      {"head_dim", config.head_dim, 2, kMaxHeadDim},
      {"ffn_dim", config.ffn_dim, 1, kMaxFfnDim},
      {"vocab_size", config.vocab_size, 1, kMaxVocabSize},
      {"context", config.context, 1, kMaxContext},
      {"n_experts", config.n_experts, 1, kMaxExperts},
      {"experts_per_token", config.experts_per_token, 1, config.n_experts},
      {"bos_id", config.bos_id, -1, int64_t{config.vocab_size} - 1},
      {"eos_id", config.eos_id, -1, int64_t{config.vocab_size} - 1},
  };
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
  if (config.head_dim % 2 != 0) {
    Refuse(origin, "head_dim", "an even number (rotary embedding turns pairs)",
           std::to_string(config.head_dim));
  }
  // Negated comparisons, so that NaN is refused too.
  if (!(config.rms_eps > 0 && config.rms_eps < 1)) {
    Refuse(origin, "rms_eps", "a number between 0 and 1", fmt::format("{}", config.rms_eps));
  }
  if (!(config.rope_theta >= 1 && config.rope_theta <= 1e15)) {
    Refuse(origin, "rope_theta", "a number from 1 to 1e15", fmt::format("{}", config.rope_theta));
  }
}

ParameterCounts CountParameters(const ModelConfig& config, int experts_per_token) {
  auto wide = [](int value) { return static_cast<uint64_t>(value); };
  if (experts_per_token == 0) experts_per_token = config.experts_per_token;
  uint64_t dim = wide(config.model_dim);
  uint64_t layers = wide(config.n_layers);
  uint64_t query_dim = wide(config.n_heads) * wide(config.head_dim);
  uint64_t kv_dim = wide(config.n_kv_heads) * wide(config.head_dim);
  ParameterCounts counts;
  counts.one_expert = 3 * dim * wide(config.ffn_dim);
  counts.all_experts = layers * wide(config.n_experts) * counts.one_expert;
  counts.attention = layers * dim * (2 * query_dim + 2 * kv_dim);
  counts.router = layers * dim * wide(config.n_experts);
  counts.norms = (2 * layers + 1) * dim;
  counts.embeddings = wide(config.vocab_size) * dim * (config.tied_embeddings ? 1 : 2);
  uint64_t shared = counts.attention + counts.router + counts.norms + counts.embeddings;
  counts.total = shared + counts.all_experts;
  counts.active = shared + layers * wide(experts_per_token) * counts.one_expert;
  return counts;
}

}  // namespace moescope::files
