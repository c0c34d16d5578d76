// How the memory given to a model's weights is used: whether they all stay, or how many experts do.
#pragma once

#include <cstdint>

#include "files/checkpoint.h"

namespace moescope::engine {

enum class WeightPlacement {
  kMapped,    // the files, mapped
  kRead,      // all in one allocation
  kStreamed,  // experts come and go in slots, all else in one allocation; nothing is mapped
};

struct WeightPlan {
  WeightPlacement placement = WeightPlacement::kMapped;
  int n_slots = 0;           // of kStreamed
  uint64_t total_bytes = 0;  // that weights will take of the memory, mapped pages counted
};

// memory_bytes: all that the process may use, of which others take rest_bytes. Weights that fit are
// placed as asked, others are streamed. Throws Error(kResource) naming needed and available bytes
// when they do not fit even so.
WeightPlan PlanWeights(const files::Checkpoint& checkpoint, bool read_into_memory,
                       uint64_t memory_bytes, uint64_t rest_bytes);

// The least memory that weights can run in: what is no expert, and slots for a token's experts.
uint64_t LeastWeightBytes(const files::Checkpoint& checkpoint);

}  // namespace moescope::engine
