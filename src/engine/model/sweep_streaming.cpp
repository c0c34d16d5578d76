#include <algorithm>

#include "engine/model/sweep_state.h"

namespace moescope::engine {
namespace {

using files::TensorKind;

// A layer is read ahead of its routing when its rows will choose nearly all of its experts: with so
// many choices an expert at random, one of 8 is left out less than once in 50 layers.
constexpr int64_t kChoicesAnExpert = 4;

}  // namespace

bool Sweep::State::IsDecoding() const {
  for (size_t s = 0; s + 1 < wave->sequence_begin.size(); ++s) {
    if (wave->caches[s] == nullptr) return false;
    if (wave->sequence_begin[s + 1] - wave->sequence_begin[s] != 1) return false;
  }
  return true;
}

void Sweep::State::BeginExperts(std::span<const ExpertBlock> blocks) {
  expert_uses.clear();
  for (const ExpertBlock& block : blocks) {
    if (expert_uses.empty() || expert_uses.back().expert != block.expert) {
      expert_uses.push_back({block.expert, 0});
    }
    ++expert_uses.back().n_tasks;
  }
  const auto n_choices = static_cast<size_t>(n_rows * router.experts_per_token);
  const bool ahead =
      !decodes && static_cast<int64_t>(n_choices) >= kChoicesAnExpert * router.n_experts;
  schedule->BeginLayer(layer, expert_uses, {buffers.experts.data(), n_choices},
                       router.experts_per_token, ahead || model.config().dense());
  if (decodes && !model.config().dense() && layer + 1 < model.config().n_layers) ForecastExperts();
}

// The next layer's router, applied to what the rows are before this layer's experts are added: they
// change a residual little, so most choices are the same.
void Sweep::State::ForecastExperts() {
  const auto eps = static_cast<float>(model.config().norm_eps);
  const auto dim = static_cast<int>(shape.model_dim);
  const int n_experts = router.n_experts;
  const auto k = static_cast<size_t>(router.experts_per_token);
  NormWeights& norm = next_weights.feed_forward_norm;
  auto floats = [&](TensorKind kind, std::vector<float>& out) {
    if (!files::HasTensor(kind, model.config())) return;
    ToFloat(kernels, model.weights().Acquire({kind, layer + 1, -1}), out);
  };
  floats(TensorKind::kFeedForwardNorm, norm.weight);
  floats(TensorKind::kFeedForwardNormBias, norm.bias);
  floats(TensorKind::kRouter, next_weights.router);
  forecast_floats.resize(static_cast<size_t>(dim + n_experts) + k);
  forecast_experts.resize(static_cast<size_t>(n_rows) * k);
  float* normed = forecast_floats.data();
  float* logits = normed + dim;
  for (int64_t row = 0; row < n_rows; ++row) {
    if (norm.bias.empty()) {
      kernels.rms_norm(Residual(row), norm.weight.data(), eps, normed, dim);
    } else {
      kernels.layer_norm(Residual(row), norm.weight.data(), norm.bias.data(), eps, normed, dim);
    }
    kernels.multiply(normed, shape.model_dim, next_weights.router.data(), shape.model_dim, logits,
                     n_experts, 1, n_experts, dim);
    if (FindNonFinite(logits, n_experts) >= 0) return;  // the layer itself will say so
    routing::ChooseExperts(router, logits, forecast_experts.data() + static_cast<size_t>(row) * k,
                           logits + n_experts);
  }
  schedule->Forecast(forecast_experts);
}

int64_t Sweep::State::BlocksHeld(std::span<const ExpertBlock> blocks, int64_t first) const {
  const auto n_blocks = static_cast<int64_t>(blocks.size());
  if (schedule == nullptr) return n_blocks - first;
  int n_passing = 0, expert = -1;
  int64_t last = first;
  for (; last < n_blocks; ++last) {
    const ExpertBlock& block = blocks[static_cast<size_t>(last)];
    if (block.expert == expert) continue;
    expert = block.expert;
    if (!schedule->Stays(expert) && ++n_passing > schedule->MostPassing()) break;
  }
  return last - first;
}

void Sweep::State::NeedExpert(int expert) {
  if (schedule == nullptr) return;
  const std::byte* slot = schedule->Wait(expert);
  LayerWeights::Expert& to = weights.experts[static_cast<size_t>(expert)];
  const ExpertLayout& layout = schedule->cache().layout();
  std::lock_guard lock(experts_mutex);
  if (to.down_proj.data != nullptr) return;
  for (const ExpertPiece& piece : layout.Pieces(layout.Cell(layer, expert))) {
    WeightMatrix& matrix = piece.location->id.kind == TensorKind::kGateProj ? to.gate_proj
                           : piece.location->id.kind == TensorKind::kUpProj ? to.up_proj
                                                                            : to.down_proj;
    matrix = ExpertLayout::MatrixIn(slot, piece);
  }
}

void Sweep::State::EndExperts(std::span<const ExpertBlock> blocks) {
  if (schedule == nullptr) return;
  for (const ExpertBlock& block : blocks) schedule->Done(block.expert);
}

}  // namespace moescope::engine
