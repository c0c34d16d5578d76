// Opening a model so that so many experts have room, for tests.
#pragma once

#include <string>

#include "engine/experts/expert_layout.h"
#include "engine/model/model.h"

namespace moescope::engine {

// Weights that fit exactly `n_slots` experts beside everything else of the model, and 64 MiB for
// sweeps and sessions. Requires: the slots are smaller than all experts.
inline ModelOptions StreamedOptions(const std::string& path, int n_slots,
                                    const ExpertScheduleOptions& experts = {}) {
  const files::Checkpoint checkpoint = files::Checkpoint::Open(path);
  uint64_t n_bytes = static_cast<uint64_t>(n_slots) * ExpertLayout(checkpoint).slot_bytes();
  for (const auto& [id, location] : checkpoint.tensors()) {
    if (!IsExpertMatrix(id.kind)) n_bytes += location.n_bytes;
  }
  constexpr uint64_t kRest = uint64_t{64} << 20;
  return {.memory_bytes = n_bytes + kRest,
          .rest_bytes = [](const files::ModelConfig&, uint64_t) { return kRest; },
          .experts = experts};
}

}  // namespace moescope::engine
