#include "lab/capture_probe.h"

#include <algorithm>

#include "base/error.h"

namespace moescope::lab {
namespace {

constexpr uint32_t kProbeSites[kNCaptureSites] = {
    routing::kSiteResidualAfterAttention, routing::kSiteResidualAfterMoe, routing::kSiteExpertInput,
    routing::kSiteExpertOutput};

}  // namespace

int SlotsOf(CaptureSite site, int n_slots) {
  const bool of_experts = site == CaptureSite::kExpertInput || site == CaptureSite::kExpertOutput;
  return of_experts ? n_slots : 1;
}

CaptureProbe::CaptureProbe(const files::ModelConfig& config, const CaptureOptions& options,
                           int n_slots, int64_t most_rows)
    : dim_(static_cast<size_t>(config.model_dim)),
      n_slots_(n_slots),
      most_rows_(most_rows),
      index_of_layer_(static_cast<size_t>(config.n_layers), -1) {
  for (size_t i = 0; i < options.layers.size(); ++i) {
    index_of_layer_[static_cast<size_t>(options.layers[i])] = static_cast<int>(i);
  }
  const size_t rows = options.layers.size() * static_cast<size_t>(most_rows);
  experts_.resize(rows * static_cast<size_t>(n_slots));
  weights_.resize(experts_.size());
  for (CaptureSite site : options.sites) {
    sites_ |= kProbeSites[static_cast<size_t>(site)];
    values_[static_cast<size_t>(site)].resize(rows * static_cast<size_t>(SlotsOf(site, n_slots)) *
                                              dim_);
  }
}

uint64_t CaptureProbe::BytesPerRow(const files::ModelConfig& config, const CaptureOptions& options,
                                   int n_slots) {
  uint64_t of_layer = static_cast<uint64_t>(n_slots) * (sizeof(int16_t) + sizeof(float));
  for (CaptureSite site : options.sites) {
    of_layer += static_cast<uint64_t>(SlotsOf(site, n_slots)) *
                static_cast<uint64_t>(config.model_dim) * sizeof(float);
  }
  return of_layer * options.layers.size();
}

void CaptureProbe::Begin(std::vector<int32_t> place) {
  place_ = std::move(place);
  std::fill(experts_.begin(), experts_.end(), int16_t{-1});
}

size_t CaptureProbe::SlotPlace(int layer_index, int64_t chosen, int slot) const {
  return static_cast<size_t>((layer_index * most_rows_ + chosen) * n_slots_ + slot);
}

float* CaptureProbe::Place(CaptureSite site, int layer_index, int64_t chosen, int slot) {
  const int64_t row = layer_index * most_rows_ + chosen;
  const auto at = static_cast<size_t>(row * SlotsOf(site, n_slots_) + slot);
  return values_[static_cast<size_t>(site)].data() + at * dim_;
}

std::span<const float> CaptureProbe::Values(CaptureSite site, int layer_index, int64_t chosen,
                                            int slot) const {
  return {const_cast<CaptureProbe*>(this)->Place(site, layer_index, chosen, slot), dim_};
}

int16_t CaptureProbe::Expert(int layer_index, int64_t chosen, int slot) const {
  return experts_[SlotPlace(layer_index, chosen, slot)];
}

float CaptureProbe::Weight(int layer_index, int64_t chosen, int slot) const {
  return weights_[SlotPlace(layer_index, chosen, slot)];
}

void CaptureProbe::OnDecision(const routing::DecisionBatch& batch) {
  const int layer = LayerIndex(batch.layer);
  if (layer < 0) return;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const int32_t chosen = place_[static_cast<size_t>(batch.first_row) + i];
    if (chosen < 0) continue;
    const size_t from = i * static_cast<size_t>(batch.experts_per_token);
    const size_t to = SlotPlace(layer, chosen, 0);
    for (size_t slot = 0; slot < static_cast<size_t>(batch.experts_per_token); ++slot) {
      experts_[to + slot] = batch.experts[from + slot];
      weights_[to + slot] = batch.weights[from + slot];
    }
  }
}

void CaptureProbe::TakeExpert(CaptureSite site, const routing::ExpertBatch& batch) {
  const int layer = LayerIndex(batch.layer);
  if (layer < 0 || values_[static_cast<size_t>(site)].empty()) return;
  for (size_t i = 0; i < batch.row.size(); ++i) {
    const int32_t chosen = place_[static_cast<size_t>(batch.row[i])];
    if (chosen < 0) continue;
    const float* from = batch.values.data() + i * dim_;
    std::copy(from, from + dim_, Place(site, layer, chosen, batch.slot[i]));
  }
}

void CaptureProbe::OnExpertInput(const routing::ExpertBatch& batch) {
  TakeExpert(CaptureSite::kExpertInput, batch);
}
void CaptureProbe::OnExpertOutput(const routing::ExpertBatch& batch) {
  TakeExpert(CaptureSite::kExpertOutput, batch);
}

void CaptureProbe::TakeResidual(CaptureSite site, const routing::ActivationBatch& batch) {
  const int layer = LayerIndex(batch.layer);
  if (layer < 0) return;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const int32_t chosen = place_[static_cast<size_t>(batch.first_row) + i];
    if (chosen < 0) continue;
    const float* from = batch.values.data() + i * dim_;
    std::copy(from, from + dim_, Place(site, layer, chosen, 0));
  }
}

void CaptureProbe::OnResidualAfterAttention(const routing::ActivationBatch& batch) {
  TakeResidual(CaptureSite::kResidualAfterAttention, batch);
}
void CaptureProbe::OnResidualAfterMoe(const routing::ActivationBatch& batch) {
  TakeResidual(CaptureSite::kResidualAfterMoe, batch);
}

}  // namespace moescope::lab
