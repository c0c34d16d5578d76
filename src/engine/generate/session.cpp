#include "engine/generate/session.h"

#include "base/error.h"

namespace moescope::engine {
namespace {

StreamBatchOptions BatchOptions(const SessionOptions& options) {
  return {.max_streams = 1,
          .context = options.context,
          .wave_rows = options.prefill_rows,
          .experts_per_token = options.experts_per_token,
          .memory_bytes = options.memory_bytes,
          .precision = options.precision,
          .kv = options.kv,
          .profile = options.profile};
}

}  // namespace

uint64_t SessionBytes(const files::ModelConfig& config, const SessionOptions& options,
                      int n_threads) {
  return StreamBatch::Bytes(config, BatchOptions(options), n_threads);
}

Session::Session(const Model& model, const KernelTable& kernels, ThreadPool& pool,
                 const SessionOptions& options)
    : batch_(model, kernels, pool, BatchOptions(options)), stream_(batch_.Add({})) {}

std::span<const float> Session::Advance(std::span<const int32_t> ids,
                                        std::span<routing::Probe* const> probes) {
  return Run(ids, Phase::kPrefill, probes);
}

std::span<const float> Session::Decode(int32_t id, std::span<routing::Probe* const> probes) {
  return Run({&id, 1}, Phase::kDecode, probes);
}

std::span<const float> Session::Run(std::span<const int32_t> ids, Phase phase,
                                    std::span<routing::Probe* const> probes) {
  MOESCOPE_CHECK(!ids.empty());
  batch_.Append(stream_, ids, phase);
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
