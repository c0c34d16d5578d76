#include "lab/trace_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "lab/decision_collector.h"
#include "routing/router.h"
#include "store/run_writer.h"

namespace moescope::lab {

uint64_t StoreBytes(uint64_t memory_bytes) {
  return std::clamp<uint64_t>(memory_bytes / 4, uint64_t{32} << 20, uint64_t{1} << 30);
}

engine::SweepPlan PlanTrace(const files::ModelConfig& config, const TraceMemory& memory) {
  uint64_t store_bytes = memory.writes ? StoreBytes(memory.memory_bytes) : 0;
  if (memory.memory_bytes <= store_bytes) {
    throw Error(ErrorKind::kResource,
                fmt::format("not enough memory for a trace: the run's database alone needs {}, "
                            "available {}; give more with --memory",
                            FormatBytes(store_bytes), FormatBytes(memory.memory_bytes)));
  }
  uint64_t sweep_bytes = memory.memory_bytes - store_bytes;
  routing::RouterDescription router;
  router.n_experts = config.n_experts;
  router.experts_per_token = config.experts_per_token;
  uint64_t kept_per_row = sizeof(store::TokenRecord) +
                          DecisionCollector::BytesPerRow(router, config.n_layers, memory.logits);
  return engine::PlanSweep(config, sweep_bytes, memory.chunk, memory.n_threads, kept_per_row,
                           memory.precision);
}

uint64_t PlannedBytes(const files::ModelConfig& config, const TraceMemory& memory) {
  const engine::SweepPlan plan = PlanTrace(config, memory);
  const uint64_t sweep_bytes =
      plan.fixed_bytes + static_cast<uint64_t>(plan.wave_rows) * plan.bytes_per_row;
  return std::min(memory.memory_bytes,
                  sweep_bytes + (memory.writes ? StoreBytes(memory.memory_bytes) : 0));
}

}  // namespace moescope::lab
