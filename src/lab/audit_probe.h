// Watches one wave for an audit: the decisions with one more expert than the model chooses, all
// their outputs, and what the residual carries. Made for expert_audit.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "files/model_config.h"
#include "routing/probe.h"
#include "routing/router.h"

namespace moescope::lab {

// Of one chosen slot of one row.
struct SlotAudit {
  int16_t expert = -1;
  float weight = 0;
  float norm = 0;    // ||output||_2
  float peak = 0;    // max |output|
  float change = 0;  // ||F'(x) - F(x)||_2, the expert masked
};
// Of one row after one layer.
struct RowAudit {
  float output_norm = 0;  // ||F(x)||_2
  float residual_peak = 0;
  float residual_median = 0;  // of |h|; only where the peak is above kMassive
  int32_t residual_dim = -1;
};
// Below this nothing is called massive. Source: arXiv 2507.23279.
inline constexpr float kMassive = 100;

class AuditProbe : public routing::Probe {
 public:
  AuditProbe(const files::ModelConfig& config, const routing::RouterDescription& router,
             int64_t wave_rows);
  static uint64_t BytesPerRow(const files::ModelConfig& config);
  // Experts a row runs: one more than it chooses, if there are as many.
  static int Slots(const files::ModelConfig& config);

  uint32_t sites() const override;
  uint32_t edits() const override { return routing::kSiteDecision; }
  // Takes the weight from the slot that the model does not have.
  void OnDecision(const routing::DecisionBatch& batch) override;
  void OnExpertOutput(const routing::ExpertBatch& batch) override;
  // All outputs of the layer are in by now.
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override;

  int n_chosen() const { return router_.experts_per_token; }
  // Of the wave that has just run.
  std::span<const SlotAudit> Slots(int layer, int64_t row) const;  // [n_chosen]
  const RowAudit& Row(int layer, int64_t row) const;

 private:
  size_t At(int layer, int64_t row) const { return static_cast<size_t>(layer * wave_rows_ + row); }
  void AuditRow(int layer, int64_t row, std::vector<double>& sum);
  double Change(int64_t row, int slot, std::vector<double>& sum) const;

  const routing::RouterDescription router_;  // as the model has it
  const int n_layers_, n_slots_;
  const int64_t wave_rows_;
  const size_t dim_;
  // Of the layer being run.
  std::vector<float> logits_;     // [wave_rows, n_experts]
  std::vector<int16_t> experts_;  // [wave_rows, n_slots]
  std::vector<float> weights_;    // [wave_rows, n_slots], 0 in the last
  std::vector<float> outputs_;    // [wave_rows, n_slots, model_dim]
  // Of all layers.
  std::vector<SlotAudit> slots_;  // [n_layers, wave_rows, n_chosen]
  std::vector<RowAudit> rows_;    // [n_layers, wave_rows]
};

}  // namespace moescope::lab
