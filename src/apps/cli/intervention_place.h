// Where interventions hold, given as options beside them rather than after their "@".
#pragma once

#include <string>
#include <vector>

namespace moescope::cli {

// As typed; "" where an option was not given.
struct InterventionPlace {
  std::string cells, experts, layers;
};

// Each intervention with the place written into it: "mask" with expert 3 and no layers becomes
// "mask@all:3". What is out of range shows when it is parsed. Throws Error(kBadInput) for options
// that contradict each other, that place nothing, or an intervention that says itself where.
std::vector<std::string> PlaceInterventions(const std::vector<std::string>& interventions,
                                            const InterventionPlace& place);

}  // namespace moescope::cli
