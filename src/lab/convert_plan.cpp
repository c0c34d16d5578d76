#include "lab/convert_plan.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/family.h"
#include "lab/rope_divisors.h"

namespace moescope::lab {
namespace {

using files::ModelConfig;
using files::NamePattern;
using files::RopeLayout;
using files::Slicing;
using files::TensorId;
using files::TensorKind;
using files::TensorScope;
using enum files::TensorKind;

// In this order, which is that of llama.cpp's converter for Mixtral.
constexpr TensorKind kBeforeLayers[] = {kTokenEmbedding, kPositionEmbedding, kRopeFactors};
constexpr TensorKind kOfLayers[] = {kAttentionNorm,
                                    kAttentionNormBias,
                                    kFeedForwardNorm,
                                    kFeedForwardNormBias,
                                    kQuery,
                                    kQueryBias,
                                    kKey,
                                    kKeyBias,
                                    kValue,
                                    kValueBias,
                                    kQueryNorm,
                                    kKeyNorm,
                                    kAttentionOutput,
                                    kAttentionOutputBias,
                                    kRouter,
                                    kGateProj,
                                    kDownProj,
                                    kDownProjBias,
                                    kUpProj,
                                    kUpProjBias};
constexpr TensorKind kBehindLayers[] = {kFinalNorm, kFinalNormBias, kOutputHead};
static_assert(std::size(kBeforeLayers) + std::size(kOfLayers) + std::size(kBehindLayers) ==
              static_cast<size_t>(kOutputHead) + 1);

// The slices of one tensor where query, key and value are fused.
std::span<const TensorKind> FusedWith(TensorKind kind) {
  static constexpr TensorKind kMatrices[] = {kQuery, kKey, kValue};
  static constexpr TensorKind kBiases[] = {kQueryBias, kKeyBias, kValueBias};
  for (TensorKind member : kMatrices) {
    if (kind == member) return kMatrices;
  }
  for (TensorKind member : kBiases) {
    if (kind == member) return kBiases;
  }
  return {};
}

bool IsRotated(TensorKind kind) {
  return kind == kQuery || kind == kQueryBias || kind == kQueryNorm || kind == kKey ||
         kind == kKeyBias || kind == kKeyNorm;
}

class Planner {
 public:
  Planner(const files::Checkpoint& checkpoint, const OutputLayout& layout)
      : checkpoint_(checkpoint),
        layout_(layout),
        fused_qkv_(FindPattern(*FamilyOf(layout.config).names, kQuery, Slicing::kQkv) != nullptr) {}

  std::vector<OutputTensor> Plan() {
    for (TensorKind kind : kBeforeLayers) AddKind(kind, -1);
    for (int layer = 0; layer < layout_.config.n_layers; ++layer) {
      for (TensorKind kind : kOfLayers) AddKind(kind, layer);
    }
    for (TensorKind kind : kBehindLayers) AddKind(kind, -1);
    return std::move(tensors_);
  }

 private:
  void AddKind(TensorKind kind, int layer) {
    const ModelConfig& config = layout_.config;
    if (!HasTensor(kind, config) || (kind == kOutputHead && config.tied_embeddings)) return;
    const auto fused = fused_qkv_ ? FusedWith(kind) : std::span<const TensorKind>();
    if (!fused.empty() && kind != fused.front()) return;  // written with the first
    const NamePattern* pattern = fused.empty() ? FindPattern(layout_.names, kind)
                                               : FindPattern(layout_.names, kind, Slicing::kQkv);
    MOESCOPE_CHECK(pattern != nullptr);
    if (kind == kRopeFactors &&
        checkpoint_.config().rope_scaling.kind != config.rope_scaling.kind) {
      tensors_.push_back(Begun(*pattern, {kind}, ShapeOf(kind, config)));
      tensors_.back().values = RopeDivisors(checkpoint_.config());
    } else if (ScopeOf(kind) == TensorScope::kExpert) {
      AddExperts(*pattern, kind, layer);
    } else {
      AddWhole(*pattern, {kind, layer}, fused);
    }
  }

  // One tensor for all experts of a layer, or one for each.
  void AddExperts(const NamePattern& pattern, TensorKind kind, int layer) {
    const int n = layout_.config.n_feed_forwards();
    if (pattern.slicing == Slicing::kWhole) {
      for (int expert = 0; expert < n; ++expert) AddWhole(pattern, {kind, layer, expert}, {});
      return;
    }
    MOESCOPE_CHECK(pattern.slicing == Slicing::kExperts);
    std::vector<int64_t> shape = ShapeOf(kind, layout_.config);
    shape.insert(shape.begin(), n);
    OutputTensor tensor = Begun(pattern, {kind, layer}, std::move(shape));
    for (int expert = 0; expert < n; ++expert) AddPart({kind, layer, expert}, tensor);
    tensors_.push_back(std::move(tensor));
  }

  void AddWhole(const NamePattern& pattern, TensorId id, std::span<const TensorKind> fused) {
    std::vector<int64_t> shape = ShapeOf(id.kind, layout_.config);
    for (size_t i = 1; i < fused.size(); ++i) shape[0] += ShapeOf(fused[i], layout_.config)[0];
    OutputTensor tensor = Begun(pattern, id, std::move(shape));
    AddPart(id, tensor);
    for (size_t i = 1; i < fused.size(); ++i) AddPart({fused[i], id.layer, id.expert}, tensor);
    tensors_.push_back(std::move(tensor));
  }

  OutputTensor Begun(const NamePattern& pattern, TensorId id, std::vector<int64_t> shape) const {
    // The head stands beside the model that the prefix is the name of.
    const auto prefix = id.kind == kOutputHead ? "" : layout_.names.optional_prefix;
    OutputTensor tensor{.name = std::string(prefix) + NameOf(pattern, id), .kind = id.kind};
    tensor.transposed = pattern.transposed;
    if (pattern.transposed) std::swap(shape[0], shape[1]);
    tensor.shape = std::move(shape);
    return tensor;
  }

  void AddPart(TensorId id, OutputTensor& tensor) const {
    const RopeLayout from = checkpoint_.config().rope_layout, to = layout_.config.rope_layout;
    RowOrder order = RowOrder::kAsStored;
    if (IsRotated(id.kind) && from != to) {
      order = to == RopeLayout::kInterleaved ? RowOrder::kHalvesToPairs : RowOrder::kPairsToHalves;
    }
    tensor.parts.push_back({&checkpoint_.tensor(id), order});
  }

  const files::Checkpoint& checkpoint_;
  const OutputLayout& layout_;
  const bool fused_qkv_;
  std::vector<OutputTensor> tensors_;
};

}  // namespace

ModelConfig ConfigWithTokenIds(const files::Checkpoint& checkpoint) {
  ModelConfig config = checkpoint.config();
  if (const files::Vocabulary* vocabulary = checkpoint.vocabulary().get()) {
    if (config.bos_id < 0) config.bos_id = vocabulary->bos_id;
    if (config.eos_id < 0) config.eos_id = vocabulary->eos_id;
    config.AddEndId(config.eos_id);
  }
  return config;
}

std::vector<OutputTensor> PlanTensors(const files::Checkpoint& checkpoint,
                                      const OutputLayout& layout) {
  if (!checkpoint.has_weights()) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot convert: {}: expected weights, found a configuration alone",
                            checkpoint.path()));
  }
  return Planner(checkpoint, layout).Plan();
}

uint64_t BytesToRead(const std::vector<OutputTensor>& tensors) {
  uint64_t n_bytes = 0;
  for (const OutputTensor& tensor : tensors) {
    for (const OutputTensor::Part& part : tensor.parts) n_bytes += part.location->n_bytes;
  }
  return n_bytes;
}

bool IsAlwaysF32InGguf(const OutputTensor& tensor) {
  return tensor.shape.size() == 1 || tensor.kind == TensorKind::kRouter ||
         tensor.kind == TensorKind::kPositionEmbedding;
}

DType StoredType(const OutputTensor& tensor) {
  if (tensor.parts.empty()) return DType::kF32;
  const DType first = tensor.parts[0].location->dtype;
  for (const OutputTensor::Part& part : tensor.parts) {
    if (part.location->dtype != first) return DType::kF32;
  }
  return first;
}

}  // namespace moescope::lab
