// From the options of `ablate` to the interventions that its branches run under.
#pragma once

#include <string>
#include <vector>

#include "routing/intervention.h"

namespace moescope::cli {

// As typed; "" and false where an option was not given.
struct AblateTargets {
  std::vector<std::string> modes;
  std::string cells, experts, layers;
  bool hunt = false;
};

// For each mode: with `hunt` each expert from all layers (or those named), with cells each of them
// and, where a list names several, all of them together; else one intervention. Throws
// Error(kBadInput) naming an option that is out of range or contradicts another.
std::vector<routing::Intervention> TargetsOf(const AblateTargets& targets,
                                             const routing::RoutedModel& model);

}  // namespace moescope::cli
