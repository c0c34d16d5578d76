#include "engine/generate/session.h"

#include "base/error.h"

namespace moescope::engine {

Session::Session(const Model& model, const KernelTable& kernels, ThreadPool& pool,
                 const SessionOptions& options)
    : batch_(model, kernels, pool,
             {.max_streams = 1,
              .context = options.context,
              .wave_rows = options.prefill_rows,
              .experts_per_token = options.experts_per_token,
              .memory_bytes = options.memory_bytes,
              .precision = options.precision,
              .kv = options.kv}),
      stream_(batch_.Add({})) {}

std::span<const float> Session::Advance(std::span<const int32_t> ids,
                                        std::span<routing::Probe* const> probes) {
  MOESCOPE_CHECK(!ids.empty());
  batch_.Append(stream_, ids);
  try {
    while (!batch_.HasLogits(stream_)) batch_.Step(probes);
  } catch (...) {
    batch_.Truncate(stream_, length());  // what has not been run is not tried again
    throw;
  }
  return batch_.Logits(stream_);
}

void Session::Truncate(int64_t length) {
  MOESCOPE_CHECK(length <= this->length());
  batch_.Truncate(stream_, length);
}

}  // namespace moescope::engine
