// How the memory given to a trace is divided, in one place for `trace` and for the forecast of
// `inspect`.
#pragma once

#include <cstdint>

#include "engine/model/sweep.h"
#include "files/model_config.h"

namespace moescope::lab {

// What of `memory_bytes` the store may use: DuckDB needs a floor to sort and compress a part.
uint64_t StoreBytes(uint64_t memory_bytes);

struct TraceMemory {
  uint64_t memory_bytes = 0;  // all that may be allocated
  int chunk = 0;              // rows of the longest sequence
  int n_threads = 0;
  bool logits = false;  // all router logits are kept
  bool writes = true;   // a run is written
  engine::Precision precision = engine::Precision::kExact;
};
// The largest wave that fits beside the store and the decisions kept for each row.
// Throws Error(kResource) as PlanSweep.
engine::SweepPlan PlanTrace(const files::ModelConfig& config, const TraceMemory& memory);
// What that wave and the store take of the memory given, all of it at most.
uint64_t PlannedBytes(const files::ModelConfig& config, const TraceMemory& memory);

}  // namespace moescope::lab
