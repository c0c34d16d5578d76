#include "lab/intervention_probe.h"

#include <algorithm>
#include <utility>

namespace moescope::lab {

InterventionProbe::InterventionProbe(std::vector<routing::InterventionPlan> plans)
    : plans_(std::move(plans)) {
  for (const routing::InterventionPlan& plan : plans_) {
    for (int layer = 0; layer < plan.n_layers(); ++layer) {
      edits_logits_ = edits_logits_ || plan.EditsLogits(layer);
    }
  }
}

void InterventionProbe::OnRouterLogits(const routing::DecisionBatch& batch) {
  const auto n_experts = static_cast<size_t>(batch.n_experts);
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const routing::InterventionPlan& plan = PlanOf(batch.rows[row]);
    if (!plan.EditsLogits(batch.layer)) continue;
    plan.EditLogits(batch.layer, batch.router_logits.subspan(row * n_experts, n_experts));
  }
}

void InterventionProbe::OnDecision(const routing::DecisionBatch& batch) {
  const auto n_experts = static_cast<size_t>(batch.n_experts);
  const auto n_slots = static_cast<size_t>(batch.experts_per_token);
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    PlanOf(batch.rows[row])
        .EditDecision(batch.layer, batch.rows[row],
                      batch.router_logits.subspan(row * n_experts, n_experts),
                      batch.experts.subspan(row * n_slots, n_slots),
                      batch.weights.subspan(row * n_slots, n_slots));
  }
}

routing::RoutedModel RoutedModelOf(const engine::Model& model) {
  return {.router = model.router(), .n_layers = model.config().n_layers};
}

int SlotsOf(const std::vector<routing::InterventionPlan>& plans) {
  int slots = 0;
  for (const routing::InterventionPlan& plan : plans) slots = std::max(slots, plan.most_slots());
  return slots;
}

}  // namespace moescope::lab
