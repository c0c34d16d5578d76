// What a user wants changed in a model's forward pass, from its written form to the probes that do
// it: routing, and the residual stream. Written forms and meanings: docs/interventions.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "lab/forced_routes.h"
#include "lab/intervention_probe.h"
#include "lab/residual_edit.h"
#include "routing/probe.h"

namespace moescope::lab {

struct ModelChanges {
  std::vector<std::string> interventions = {};  // "mask@1:3" (routing/intervention.h)
  std::vector<std::string> patches = {};        // "captured/residual_after_moe@3" (residual_edit.h)
  std::vector<std::string> additions = {};      // "direction.npy@3x0.5"
};

// The slots that a session with these changes must have, known before its model is opened; 0 for a
// dense model. Throws as PlannedChanges.
int SessionSlots(const ModelChanges& changes, const files::ModelConfig& config);

// The probes of some changes. They may be used by any number of sweeps and sessions; thread-safe.
class PlannedChanges {
 public:
  // Patches come before additions, each in the order given. Routes that a run stored cannot be
  // forced upon a session, whose rows are not those of a text. Throws Error(kBadInput) for a form
  // that cannot be read, names what the model does not have or contradicts another one; as
  // OpenForced, ParseAddition and ParsePatch.
  PlannedChanges(const ModelChanges& changes, const engine::Model& model, Setting setting);

  // In the order in which they come into force; before any probe that only observes.
  std::vector<routing::Probe*> probes() const;
  // As a manifest has them: with contents in place of paths.
  const std::vector<std::string>& written() const { return written_; }
  // Slots a sweep must have: the most experts a token that a layer chooses. 0 for a dense model.
  int experts_per_token() const { return experts_per_token_; }

 private:
  void PlanInterventions(const std::vector<std::string>& texts, const engine::Model& model,
                         Setting setting);
  std::vector<std::string> written_;
  int experts_per_token_ = 0;
  std::unique_ptr<ForcedRoutes> forced_;
  std::unique_ptr<InterventionProbe> interventions_;
  std::unique_ptr<ResidualProbe> residuals_;
};

}  // namespace moescope::lab
