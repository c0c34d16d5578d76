// Token-major running: a sequence that grows, its keys and values kept: a batch of one stream. The
// same layer code as a sweep, and so the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "base/parallel/thread_pool.h"
#include "engine/generate/stream_batch.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "routing/probe.h"

namespace moescope::engine {

struct SessionOptions {
  int context = 0;            // positions it can hold, at most the model's context
  int prefill_rows = 512;     // rows run at a time
  int experts_per_token = 0;  // other than the model's own; 0: the model's
  uint64_t memory_bytes = 0;  // for cache and buffers; 0: what is available
  Precision precision = Precision::kExact;
  DType kv = DType::kF32;      // type of keys and values: F32, F16, Q8_0; `exact` is F32 only
  Profile* profile = nullptr;  // of the pool's threads; must outlive the session
};

// What cache and buffers of a session take.
uint64_t SessionBytes(const files::ModelConfig& config, const SessionOptions& options,
                      int n_threads);

// Not thread-safe; spreads its work on the pool. The model, kernels and pool must outlive it.
class Session {
 public:
  // Throws as StreamBatch.
  Session(const Model& model, const KernelTable& kernels, ThreadPool& pool,
          const SessionOptions& options);

  // Runs a prompt, one token or many, after the tokens before it, with the numbers of a sweep
  // (Phase::kPrefill). Returns the logits after the last one, [vocab_size], valid until the next
  // call. Probes see the rows as a sweep's, with their positions.
  // Requires: !ids.empty(). Throws Error(kBadInput) when the context is full, kCorrupt for logits
  // that are not finite, and as Sweep::Run.
  std::span<const float> Advance(std::span<const int32_t> ids,
                                 std::span<routing::Probe* const> probes = {});
  // The same for a token that was sampled, with the numbers of decoding (Phase::kDecode): other
  // ones where precision `fast` rounds by phase (docs/numerics.md).
  std::span<const float> Decode(int32_t id, std::span<routing::Probe* const> probes = {});
  // Forgets the positions from `length` on. Requires: 0 <= length <= this->length().
  void Truncate(int64_t length);

  int64_t length() const { return batch_.length(stream_); }
  int64_t capacity() const { return batch_.context(); }

 private:
  std::span<const float> Run(std::span<const int32_t> ids, Phase phase,
                             std::span<routing::Probe* const> probes);

  StreamBatch batch_;
  int stream_;
};

}  // namespace moescope::engine
