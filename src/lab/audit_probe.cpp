#include "lab/audit_probe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace moescope::lab {
namespace {

uint64_t Bytes(int64_t n, size_t size) {
  return static_cast<uint64_t>(n) * size;
}

}  // namespace

int AuditProbe::Slots(const files::ModelConfig& config) {
  return std::min(config.experts_per_token + 1, config.n_experts);
}

AuditProbe::AuditProbe(const files::ModelConfig& config, const routing::RouterDescription& router,
                       int64_t wave_rows)
    : router_(router),
      n_layers_(config.n_layers),
      n_slots_(Slots(config)),
      wave_rows_(wave_rows),
      dim_(static_cast<size_t>(config.model_dim)) {
  const auto rows = static_cast<size_t>(wave_rows), slots = static_cast<size_t>(n_slots_);
  const auto layers = static_cast<size_t>(n_layers_);
  logits_.resize(rows * static_cast<size_t>(router_.n_experts));
  experts_.resize(rows * slots);
  weights_.resize(rows * slots);
  outputs_.resize(rows * slots * dim_);
  slots_.resize(layers * rows * static_cast<size_t>(n_chosen()));
  rows_.resize(layers * rows);
}

uint64_t AuditProbe::BytesPerRow(const files::ModelConfig& config) {
  const int slots = Slots(config);
  return Bytes(config.n_experts, sizeof(float)) + Bytes(slots, sizeof(int16_t) + sizeof(float)) +
         Bytes(int64_t{slots} * config.model_dim, sizeof(float)) +
         Bytes(int64_t{config.n_layers} * config.experts_per_token, sizeof(SlotAudit)) +
         Bytes(config.n_layers, sizeof(RowAudit));
}

uint32_t AuditProbe::sites() const {
  return routing::kSiteDecision | routing::kSiteExpertOutput | routing::kSiteResidualAfterMoe;
}

void AuditProbe::OnDecision(const routing::DecisionBatch& batch) {
  MOESCOPE_CHECK(batch.experts_per_token == n_slots_);
  const auto k = static_cast<size_t>(n_chosen()), slots = static_cast<size_t>(n_slots_);
  const auto n_experts = static_cast<size_t>(batch.n_experts);
  std::copy(batch.router_logits.begin(), batch.router_logits.end(),
            logits_.begin() + static_cast<ptrdiff_t>(batch.first_row) * batch.n_experts);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const float* logits = batch.router_logits.data() + i * n_experts;
    int16_t* experts = batch.experts.data() + i * slots;
    float* weights = batch.weights.data() + i * slots;
    // The model's own choice is the first of the longer one, with other weights.
    routing::ChooseExperts(router_, logits, experts, weights);
    if (slots > k) weights[k] = 0;
    const size_t row = static_cast<size_t>(batch.first_row) + i;
    std::copy(experts, experts + slots, experts_.begin() + static_cast<ptrdiff_t>(row * slots));
    std::copy(weights, weights + slots, weights_.begin() + static_cast<ptrdiff_t>(row * slots));
  }
}

void AuditProbe::OnExpertOutput(const routing::ExpertBatch& batch) {
  for (size_t i = 0; i < batch.row.size(); ++i) {
    const size_t place = static_cast<size_t>(batch.row[i]) * static_cast<size_t>(n_slots_) +
                         static_cast<size_t>(batch.slot[i]);
    const float* from = batch.values.data() + i * dim_;
    std::copy(from, from + dim_, outputs_.begin() + static_cast<ptrdiff_t>(place * dim_));
  }
}

// ||F'(x) - F(x)||_2 of a row where the expert of `slot` is masked: the next best steps in, and the
// router weighs those that are left.
double AuditProbe::Change(int64_t row, int slot, std::vector<double>& sum) const {
  constexpr int kMostExperts = 1024;  // a router has a few hundred at most
  const int n_experts = router_.n_experts, k = n_chosen();
  MOESCOPE_CHECK(n_experts <= kMostExperts);
  float logits[kMostExperts], weights[kMostExperts];
  int16_t chosen[kMostExperts];
  const size_t first = static_cast<size_t>(row) * static_cast<size_t>(n_slots_);
  const int16_t* experts = experts_.data() + first;
  std::copy_n(logits_.begin() + row * n_experts, n_experts, logits);
  logits[experts[slot]] = -std::numeric_limits<float>::infinity();
  routing::ChooseExperts(router_, logits, chosen, weights);

  std::fill(sum.begin(), sum.end(), 0);
  for (int s = 0; s < n_slots_; ++s) {
    const int16_t* found = std::find(chosen, chosen + k, experts[s]);
    const double now = found == chosen + k ? 0 : weights[found - chosen];
    const double change = now - weights_[first + static_cast<size_t>(s)];
    if (change == 0) continue;
    const float* output = outputs_.data() + (first + static_cast<size_t>(s)) * dim_;
    for (size_t d = 0; d < dim_; ++d) sum[d] += change * output[d];
  }
  double squares = 0;
  for (double value : sum) squares += value * value;
  return std::sqrt(squares);
}

void AuditProbe::AuditRow(int layer, int64_t row, std::vector<double>& sum) {
  const int k = n_chosen();
  const size_t first = static_cast<size_t>(row) * static_cast<size_t>(n_slots_);
  SlotAudit* slots = slots_.data() + At(layer, row) * static_cast<size_t>(k);
  for (int s = 0; s < k; ++s) {
    const size_t at = first + static_cast<size_t>(s);
    const float* output = outputs_.data() + at * dim_;
    double squares = 0;
    float peak = 0;
    for (size_t d = 0; d < dim_; ++d) {
      squares += double{output[d]} * output[d];
      peak = std::max(peak, std::fabs(output[d]));
    }
    slots[s] = {.expert = experts_[at],
                .weight = weights_[at],
                .norm = static_cast<float>(std::sqrt(squares)),
                .peak = peak,
                .change = static_cast<float>(Change(row, s, sum))};
  }
  std::fill(sum.begin(), sum.end(), 0);
  for (int s = 0; s < k; ++s) {
    const size_t at = first + static_cast<size_t>(s);
    for (size_t d = 0; d < dim_; ++d) sum[d] += double{weights_[at]} * outputs_[at * dim_ + d];
  }
  double squares = 0;
  for (double value : sum) squares += value * value;
  rows_[At(layer, row)] = {};
  rows_[At(layer, row)].output_norm = static_cast<float>(std::sqrt(squares));
}

void AuditProbe::OnResidualAfterMoe(const routing::ActivationBatch& batch) {
  if (batch.layer < 0) return;
  std::vector<double> sum(dim_);
  std::vector<float> magnitudes(dim_);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const int64_t row = batch.first_row + static_cast<int64_t>(i);
    AuditRow(batch.layer, row, sum);
    RowAudit& audit = rows_[At(batch.layer, row)];
    const float* values = batch.values.data() + i * dim_;
    for (size_t d = 0; d < dim_; ++d) {
      magnitudes[d] = std::fabs(values[d]);
      if (audit.residual_dim >= 0 && magnitudes[d] <= audit.residual_peak) continue;
      audit.residual_peak = magnitudes[d];
      audit.residual_dim = static_cast<int32_t>(d);
    }
    if (audit.residual_peak <= kMassive) continue;
    const auto middle = magnitudes.begin() + static_cast<ptrdiff_t>(dim_ / 2);
    std::nth_element(magnitudes.begin(), middle, magnitudes.end());
    audit.residual_median = *middle;
  }
}

std::span<const SlotAudit> AuditProbe::Slots(int layer, int64_t row) const {
  const auto k = static_cast<size_t>(n_chosen());
  return std::span(slots_).subspan(At(layer, row) * k, k);
}

const RowAudit& AuditProbe::Row(int layer, int64_t row) const {
  return rows_[At(layer, row)];
}

}  // namespace moescope::lab
