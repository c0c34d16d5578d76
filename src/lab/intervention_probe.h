// Interventions at work in a sweep: edits the logits and decisions of each row as its branch says.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/model.h"
#include "routing/intervention_plan.h"
#include "routing/probe.h"

namespace moescope::lab {

class InterventionProbe : public routing::Probe {
 public:
  // plans[b] is what holds for rows of branch b. A sweep must have SlotsOf(plans) slots.
  explicit InterventionProbe(std::vector<routing::InterventionPlan> plans);

  uint32_t sites() const override {
    return routing::kSiteDecision | (edits_logits_ ? routing::kSiteRouterLogits : 0u);
  }
  uint32_t edits() const override { return sites(); }
  void OnRouterLogits(const routing::DecisionBatch& batch) override;
  void OnDecision(const routing::DecisionBatch& batch) override;

 private:
  const routing::InterventionPlan& PlanOf(const routing::RowInfo& row) const {
    return plans_[static_cast<size_t>(row.branch)];
  }
  std::vector<routing::InterventionPlan> plans_;
  bool edits_logits_ = false;
};

// What interventions are for; without experts where the model is dense.
routing::RoutedModel RoutedModelOf(const engine::Model& model);

// The most experts a token that any of them chooses in a layer.
int SlotsOf(const std::vector<routing::InterventionPlan>& plans);

}  // namespace moescope::lab
