#include "files/tensor_kind.h"

#include <array>

#include "base/error.h"

namespace moescope::files {
namespace {

struct KindRow {
  std::string_view name;
  TensorScope scope;
  TensorGroup group;
};

constexpr TensorScope kModel = TensorScope::kModel;
constexpr TensorScope kLayer = TensorScope::kLayer;
constexpr TensorScope kExpert = TensorScope::kExpert;

constexpr KindRow kRows[] = {
    {"token embedding", kModel, TensorGroup::kEmbeddings},
    {"position embedding", kModel, TensorGroup::kEmbeddings},
    {"rotary factors", kModel, TensorGroup::kAttention},
    {"attention norm", kLayer, TensorGroup::kNorms},
    {"attention norm bias", kLayer, TensorGroup::kNorms},
    {"attention query", kLayer, TensorGroup::kAttention},
    {"attention query bias", kLayer, TensorGroup::kAttention},
    {"attention key", kLayer, TensorGroup::kAttention},
    {"attention key bias", kLayer, TensorGroup::kAttention},
    {"attention value", kLayer, TensorGroup::kAttention},
    {"attention value bias", kLayer, TensorGroup::kAttention},
    {"query norm", kLayer, TensorGroup::kNorms},
    {"key norm", kLayer, TensorGroup::kNorms},
    {"attention output", kLayer, TensorGroup::kAttention},
    {"attention output bias", kLayer, TensorGroup::kAttention},
    {"feed-forward norm", kLayer, TensorGroup::kNorms},
    {"feed-forward norm bias", kLayer, TensorGroup::kNorms},
    {"router", kLayer, TensorGroup::kRouter},
    {"expert gate_proj", kExpert, TensorGroup::kExperts},
    {"expert up_proj", kExpert, TensorGroup::kExperts},
    {"expert up_proj bias", kExpert, TensorGroup::kExperts},
    {"expert down_proj", kExpert, TensorGroup::kExperts},
    {"expert down_proj bias", kExpert, TensorGroup::kExperts},
    {"final norm", kModel, TensorGroup::kNorms},
    {"final norm bias", kModel, TensorGroup::kNorms},
    {"output head", kModel, TensorGroup::kHead},
};
constexpr size_t kKinds = std::size(kRows);
static_assert(kKinds == static_cast<size_t>(TensorKind::kOutputHead) + 1);

constexpr auto kAllKinds = [] {
  std::array<TensorKind, kKinds> kinds{};
  for (size_t i = 0; i < kKinds; ++i) kinds[i] = static_cast<TensorKind>(i);
  return kinds;
}();

}  // namespace

std::span<const TensorKind> AllTensorKinds() {
  return kAllKinds;
}

std::string_view Name(TensorKind kind) {
  return kRows[static_cast<size_t>(kind)].name;
}

TensorScope ScopeOf(TensorKind kind) {
  return kRows[static_cast<size_t>(kind)].scope;
}

TensorGroup GroupOf(TensorKind kind) {
  return kRows[static_cast<size_t>(kind)].group;
}

bool HasTensor(TensorKind kind, const ModelConfig& config) {
  switch (kind) {
    case TensorKind::kTokenEmbedding:
    case TensorKind::kAttentionNorm:
    case TensorKind::kQuery:
    case TensorKind::kKey:
    case TensorKind::kValue:
    case TensorKind::kAttentionOutput:
    case TensorKind::kFeedForwardNorm:
    case TensorKind::kUpProj:
    case TensorKind::kDownProj:
    case TensorKind::kFinalNorm:
    case TensorKind::kOutputHead:
      return true;
    case TensorKind::kPositionEmbedding:
      return config.positions == PositionKind::kLearned;
    case TensorKind::kRopeFactors:
      return config.rope_scaling.kind == RopeScaling::Kind::kFactors;
    case TensorKind::kAttentionNormBias:
    case TensorKind::kFeedForwardNormBias:
    case TensorKind::kFinalNormBias:
      return config.norm == NormKind::kLayer;
    case TensorKind::kQueryBias:
    case TensorKind::kKeyBias:
    case TensorKind::kValueBias:
      return config.qkv_bias;
    case TensorKind::kQueryNorm:
    case TensorKind::kKeyNorm:
      return config.query_key_norm != QueryKeyNorm::kNone;
    case TensorKind::kAttentionOutputBias:
      return config.output_bias;
    case TensorKind::kRouter:
      return !config.dense();
    case TensorKind::kGateProj:
      return config.feed_forward == FeedForwardKind::kSwiGlu;
    case TensorKind::kUpProjBias:
    case TensorKind::kDownProjBias:
      return config.feed_forward_bias;
  }
  MOESCOPE_CHECK(false);
  return false;
}

std::vector<int64_t> ShapeOf(TensorKind kind, const ModelConfig& config) {
  const int64_t dim = config.model_dim;
  const bool per_head = config.query_key_norm == QueryKeyNorm::kPerHead;
  switch (kind) {
    case TensorKind::kTokenEmbedding:
    case TensorKind::kOutputHead:
      return {config.vocab_size, dim};
    case TensorKind::kPositionEmbedding:
      return {config.context, dim};
    case TensorKind::kRopeFactors:
      return {config.head_dim / 2};
    case TensorKind::kAttentionNorm:
    case TensorKind::kAttentionNormBias:
    case TensorKind::kAttentionOutputBias:
    case TensorKind::kFeedForwardNorm:
    case TensorKind::kFeedForwardNormBias:
    case TensorKind::kDownProjBias:
    case TensorKind::kFinalNorm:
    case TensorKind::kFinalNormBias:
      return {dim};
    case TensorKind::kQuery:
      return {config.query_dim(), dim};
    case TensorKind::kQueryBias:
      return {config.query_dim()};
    case TensorKind::kKey:
    case TensorKind::kValue:
      return {config.kv_dim(), dim};
    case TensorKind::kKeyBias:
    case TensorKind::kValueBias:
      return {config.kv_dim()};
    case TensorKind::kQueryNorm:
      return {per_head ? config.head_dim : config.query_dim()};
    case TensorKind::kKeyNorm:
      return {per_head ? config.head_dim : config.kv_dim()};
    case TensorKind::kAttentionOutput:
      return {dim, config.query_dim()};
    case TensorKind::kRouter:
      return {config.n_experts, dim};
    case TensorKind::kGateProj:
    case TensorKind::kUpProj:
      return {config.ffn_dim, dim};
    case TensorKind::kUpProjBias:
      return {config.ffn_dim};
    case TensorKind::kDownProj:
      return {dim, config.ffn_dim};
  }
  MOESCOPE_CHECK(false);
  return {};
}

uint64_t CountOf(TensorKind kind, const ModelConfig& config) {
  if (!HasTensor(kind, config)) return 0;
  const TensorScope scope = ScopeOf(kind);
  if (scope == TensorScope::kModel) return 1;
  const auto layers = static_cast<uint64_t>(config.n_layers);
  return scope == TensorScope::kLayer ? layers
                                      : layers * static_cast<uint64_t>(config.n_feed_forwards());
}

}  // namespace moescope::files
