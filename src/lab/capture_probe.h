// Copies what passes at some sites, for some rows of a wave. Made for capture.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "files/model_config.h"
#include "lab/capture.h"
#include "routing/probe.h"

namespace moescope::lab {

class CaptureProbe : public routing::Probe {
 public:
  // Allocates for `most_rows` chosen rows of a wave. n_slots: experts a row may run.
  CaptureProbe(const files::ModelConfig& config, const CaptureOptions& options, int n_slots,
               int64_t most_rows);
  // What one chosen row takes.
  static uint64_t BytesPerRow(const files::ModelConfig& config, const CaptureOptions& options,
                              int n_slots);

  // place[row]: which chosen row of the wave it is, in order, or -1.
  void Begin(std::vector<int32_t> place);

  uint32_t sites() const override { return sites_; }
  void OnDecision(const routing::DecisionBatch& batch) override;
  void OnExpertInput(const routing::ExpertBatch& batch) override;
  void OnExpertOutput(const routing::ExpertBatch& batch) override;
  void OnResidualAfterAttention(const routing::ActivationBatch& batch) override;
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override;

  // Of the wave that has just run. `layer_index`: into the layers asked for; expert -1: the slot
  // was dropped, or a dense model's.
  int16_t Expert(int layer_index, int64_t chosen, int slot) const;
  float Weight(int layer_index, int64_t chosen, int slot) const;
  // [model_dim]; slot 0 of sites without experts.
  std::span<const float> Values(CaptureSite site, int layer_index, int64_t chosen, int slot) const;

 private:
  int LayerIndex(int layer) const {
    return layer < 0 ? -1 : index_of_layer_[static_cast<size_t>(layer)];
  }
  size_t SlotPlace(int layer_index, int64_t chosen, int slot) const;
  float* Place(CaptureSite site, int layer_index, int64_t chosen, int slot);
  void TakeResidual(CaptureSite site, const routing::ActivationBatch& batch);
  void TakeExpert(CaptureSite site, const routing::ExpertBatch& batch);

  const size_t dim_;
  const int n_slots_;
  const int64_t most_rows_;
  uint32_t sites_ = routing::kSiteDecision;
  std::vector<int> index_of_layer_;            // -1: not asked for
  std::vector<int32_t> place_;                 // of the wave's rows
  std::vector<int16_t> experts_;               // [layers, most_rows, n_slots]
  std::vector<float> weights_;                 // the same
  std::vector<float> values_[kNCaptureSites];  // [layers, most_rows, slots, dim]
};

// Slots of a site: the experts of a row, or one.
int SlotsOf(CaptureSite site, int n_slots);

}  // namespace moescope::lab
