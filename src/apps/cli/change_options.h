// The options that change a model's forward pass: --intervene with its place, --patch, --add.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/intervention_place.h"
#include "lab/model_changes.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct ChangeOptions {
  std::vector<std::string> interventions;
  InterventionPlace place;
  std::vector<std::string> patches, additions;

  // Throws as PlaceInterventions.
  lab::ModelChanges Changes() const;
};

void AddChangeOptions(CLI::App& app, ChangeOptions& options);
// One line on standard error where something was changed.
void PrintChanges(const lab::PlannedChanges& changes);

}  // namespace moescope::cli
