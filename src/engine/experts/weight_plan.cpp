#include "engine/experts/weight_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "engine/experts/expert_layout.h"

namespace moescope::engine {
namespace {

struct WeightBytes {
  uint64_t experts = 0, others = 0;
};

WeightBytes CountBytes(const files::Checkpoint& checkpoint) {
  WeightBytes bytes;
  for (const auto& [id, location] : checkpoint.tensors()) {
    (IsExpertMatrix(id.kind) ? bytes.experts : bytes.others) += location.n_bytes;
  }
  return bytes;
}

// One more than a token chooses in a layer, so that something can be read while they are used.
int LeastSlots(const ExpertLayout& layout, const files::ModelConfig& config) {
  return std::min(layout.n_cells(), std::max(2, config.experts_per_token + 1));
}

}  // namespace

uint64_t LeastWeightBytes(const files::Checkpoint& checkpoint) {
  const ExpertLayout layout(checkpoint);
  return CountBytes(checkpoint).others +
         layout.slot_bytes() * static_cast<uint64_t>(LeastSlots(layout, checkpoint.config()));
}

WeightPlan PlanWeights(const files::Checkpoint& checkpoint, bool read_into_memory,
                       uint64_t memory_bytes, uint64_t rest_bytes) {
  const WeightBytes bytes = CountBytes(checkpoint);
  const uint64_t for_weights = memory_bytes > rest_bytes ? memory_bytes - rest_bytes : 0;
  if (bytes.experts + bytes.others <= for_weights) {
    return {.placement = read_into_memory ? WeightPlacement::kRead : WeightPlacement::kMapped,
            .total_bytes = bytes.experts + bytes.others};
  }
  const ExpertLayout layout(checkpoint);
  const auto least = static_cast<uint64_t>(LeastSlots(layout, checkpoint.config()));
  const uint64_t needed = bytes.others + least * layout.slot_bytes();
  if (needed > for_weights) {
    throw Error(ErrorKind::kResource,
                "not enough memory for the weights of " + checkpoint.path() + ": needed " +
                    FormatBytes(needed) + " (" + FormatBytes(bytes.others) +
                    " that every token uses, and " + std::to_string(least) + " experts) beside " +
                    FormatBytes(rest_bytes) + " of other buffers, available " +
                    FormatBytes(memory_bytes) + "; give more with --memory");
  }
  const uint64_t n_slots = (for_weights - bytes.others) / layout.slot_bytes();
  WeightPlan plan{
      .placement = WeightPlacement::kStreamed,
      .n_slots = static_cast<int>(std::min(n_slots, static_cast<uint64_t>(layout.n_cells())))};
  plan.total_bytes = bytes.others + static_cast<uint64_t>(plan.n_slots) * layout.slot_bytes();
  return plan;
}

}  // namespace moescope::engine
