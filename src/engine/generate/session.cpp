#include "engine/generate/session.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/model/sweep_buffers.h"

namespace moescope::engine {
namespace {

// The context that can be had: what was asked for, checked against the model and memory.
int CheckedContext(const Model& model, const ThreadPool& pool, const SessionOptions& options) {
  const files::ModelConfig& config = model.config();
  if (options.context < 1 || options.context > config.context) {
    throw Error(ErrorKind::kBadInput, "cannot start a session: expected a context of 1 to " +
                                          std::to_string(config.context) + " tokens, found " +
                                          std::to_string(options.context));
  }
  const uint64_t needed = SessionBytes(config, options, pool.n_threads());
  const uint64_t available = model.memory_left().value_or(
      options.memory_bytes > 0 ? options.memory_bytes : AvailableMemoryBytes());
  if (needed > available) {
    throw Error(ErrorKind::kResource, "not enough memory for a session: a context of " +
                                          FormatCount(static_cast<uint64_t>(options.context)) +
                                          " tokens needs " + FormatBytes(needed) + ", available " +
                                          FormatBytes(available) + "; give a smaller one with -c");
  }
  return options.context;
}

}  // namespace

uint64_t SessionBytes(const files::ModelConfig& config, const SessionOptions& options,
                      int n_threads) {
  const int k =
      options.experts_per_token > 0 ? options.experts_per_token : config.experts_per_token;
  return KvCache::Bytes(config, options.context) +
         SweepShape::Of(config, k, std::min(options.prefill_rows, options.context), options.context,
                        n_threads, options.precision)
             .TotalBytes();
}

Session::Session(const Model& model, const KernelTable& kernels, ThreadPool& pool,
                 const SessionOptions& options)
    : prefill_rows_(std::min(options.prefill_rows, options.context)),
      cache_(model.config(), CheckedContext(model, pool, options)),
      sweep_(model, kernels, pool,
             {.wave_rows = prefill_rows_,
              .max_sequence = options.context,
              .losses = false,
              .experts_per_token = options.experts_per_token,
              .precision = options.precision,
              .profile = options.profile}) {}

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
  if (length() + static_cast<int64_t>(ids.size()) > capacity()) {
    throw Error(ErrorKind::kBadInput, "the context is full: " + std::to_string(capacity()) +
                                          " positions, " + std::to_string(length()) + " used, " +
                                          std::to_string(ids.size()) +
                                          " more wanted; give a larger one with -c");
  }
  while (!ids.empty()) {
    const size_t n = std::min(ids.size(), static_cast<size_t>(prefill_rows_));
    wave_.clear();
    wave_.phase = phase;
    wave_.Add(/*sequence=*/0, /*branch=*/0, ids.first(n), &cache_);
    sweep_.Run(wave_, probes);
    ids = ids.subspan(n);
  }
  const int64_t last[] = {wave_.n_rows() - 1};
  logits_ = sweep_.Logits(last);
  const auto finite = [](float logit) { return std::isfinite(logit); };
  if (!std::all_of(logits_.begin(), logits_.end(), finite)) {
    throw Error(ErrorKind::kCorrupt,
                "cannot go on at position " + std::to_string(length() - 1) +
                    ": expected finite logits, found NaN or infinity; the final norm or the output "
                    "head is damaged");
  }
  return logits_;
}

void Session::Truncate(int64_t length) {
  MOESCOPE_CHECK(length <= this->length());
  cache_.set_length(length);
}

}  // namespace moescope::engine
