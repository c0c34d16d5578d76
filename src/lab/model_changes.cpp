#include "lab/model_changes.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "routing/intervention.h"

namespace moescope::lab {
namespace {

routing::Intervention Parse(const std::string& text, const routing::RoutedModel& model,
                            Setting setting) {
  routing::Intervention intervention = routing::ParseIntervention(text, model, "--intervene");
  if (intervention.cells.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--intervene {0}: expected experts to remove, found none; add "
                            "--expert E or --cells LAYER:EXPERT,... or write {0}@all:E",
                            text));
  }
  if (routing::IsForce(intervention.mode) && setting == Setting::kSession) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--intervene {}: expected a change that needs no run, found one that "
                            "forces routes of a text that is given; use it with trace or ablate",
                            text));
  }
  return intervention;
}

}  // namespace

int SessionSlots(const ModelChanges& changes, const files::ModelConfig& config) {
  if (config.dense()) return 0;
  routing::RoutedModel routed;
  routed.router.n_experts = config.n_experts;
  routed.router.experts_per_token = config.experts_per_token;
  routed.n_layers = config.n_layers;
  std::vector<routing::Intervention> interventions;
  for (const std::string& text : changes.interventions) {
    interventions.push_back(Parse(text, routed, Setting::kSession));
  }
  return routing::InterventionPlan(interventions, routed).most_slots();
}

PlannedChanges::PlannedChanges(const ModelChanges& changes, const engine::Model& model,
                               Setting setting)
    : experts_per_token_(model.config().dense() ? 0 : model.router().experts_per_token) {
  if (!changes.interventions.empty()) PlanInterventions(changes.interventions, model, setting);
  std::vector<ResidualEdit> edits;
  for (const std::string& text : changes.patches) edits.push_back(ParsePatch(text, model, setting));
  for (const std::string& text : changes.additions) edits.push_back(ParseAddition(text, model));
  for (const ResidualEdit& edit : edits) written_.push_back(edit.written);
  if (!edits.empty()) residuals_ = std::make_unique<ResidualProbe>(std::move(edits));
}

void PlannedChanges::PlanInterventions(const std::vector<std::string>& texts,
                                       const engine::Model& model, Setting setting) {
  const routing::RoutedModel routed = RoutedModelOf(model);
  std::vector<routing::Intervention> interventions;
  for (const std::string& text : texts) interventions.push_back(Parse(text, routed, setting));
  forced_ = OpenForced(interventions, model);
  for (const routing::Intervention& intervention : interventions) {
    written_.push_back(routing::FormatIntervention(intervention, routed));
  }
  std::vector<routing::InterventionPlan> plans;
  plans.emplace_back(interventions, routed, forced_.get());
  experts_per_token_ = SlotsOf(plans);
  interventions_ = std::make_unique<InterventionProbe>(std::move(plans));
}

std::vector<routing::Probe*> PlannedChanges::probes() const {
  std::vector<routing::Probe*> probes;
  if (interventions_) probes.push_back(interventions_.get());
  if (residuals_) probes.push_back(residuals_.get());
  return probes;
}

}  // namespace moescope::lab
