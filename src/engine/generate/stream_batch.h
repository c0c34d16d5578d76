// Many sequences that grow side by side, as a server has them: a step runs what waits in all of
// them as one wave, so that each weight is read once for all. Streams never see each other, and
// each has the bits it would have alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/kv_cache.h"
#include "engine/model/model.h"
#include "engine/model/sweep.h"
#include "routing/probe.h"

namespace moescope::engine {

struct StreamBatchOptions {
  int max_streams = 1;
  int context = 0;            // positions each can hold, at most the model's context
  int wave_rows = 512;        // rows a step runs at most; raised to max_streams
  int experts_per_token = 0;  // other than the model's own; 0: the model's
  uint64_t memory_bytes = 0;  // for caches and buffers; 0: what is available
  Precision precision = Precision::kExact;
  DType kv = DType::kF32;      // type of keys and values: F32, F16, Q8_0; `exact` is F32 only
  Profile* profile = nullptr;  // of the pool's threads; must outlive the batch
};

// Everything is allocated at the beginning: a cache of `context` positions for each stream, and
// nothing in a step. A stream whose beginning another one has run already, or one that was removed
// and whose place has not been taken since, gets those keys and values as a copy: no arithmetic,
// the memory of any stream.
// Not thread-safe; spreads its work on the pool. The model, kernels and pool must outlive it.
class StreamBatch {
 public:
  // Throws Error(kBadInput) for a context the model does not have, as CheckKvType, Error(kResource)
  // naming needed and available bytes before anything is allocated.
  StreamBatch(const Model& model, const KernelTable& kernels, ThreadPool& pool,
              const StreamBatchOptions& options);

  // A stream that begins with `ids` (none, if more will be appended); they wait for the next steps.
  // Returns its number, below max_streams(): that of a removed one, if need be.
  // Throws Error(kBadInput) for ids that do not fit into the context or are no tokens of the model,
  // Error(kResource) when there are max_streams() already; the others go on.
  int Add(std::span<const int32_t> ids);
  // Tokens to run after those the stream has; of kDecode one that was sampled from its logits.
  // Several, or any that follow tokens still waiting, belong to a prompt whatever the phase says.
  // Throws Error(kBadInput) as Add; the stream is as before and can be read, cut or removed, the
  // others go on.
  void Append(int stream, std::span<const int32_t> ids, Phase phase = Phase::kDecode);
  // Forgets the tokens from `length` on, run or waiting. Requires: 0 <= length <= n_tokens(stream).
  void Truncate(int stream, int64_t length);
  void Remove(int stream);

  // Runs one wave: first the streams in which one token waits, then, as far as rows go, the longest
  // waiting prompts; where phases round differently (precision.h) one of them, in turn. One that
  // begins like another whose turn is earlier is left out until that one has run what they share.
  // Returns the number of rows, 0 when nothing waits. Probes see the rows as a sweep's, `sequence`
  // being the stream, but not what was copied. Requires: probes that edit are the same in all
  // steps, since what is copied has seen them. Throws as Sweep::Run; all streams are then as
  // before, and the rows still wait.
  int64_t Step(std::span<routing::Probe* const> probes = {});
  // Whether the last step ran the last token of the stream, and no more has come since.
  bool HasLogits(int stream) const;
  // The logits after it, [vocab_size], valid until the next step. Requires: HasLogits(stream).
  // Throws Error(kCorrupt) when they are not finite.
  std::span<const float> Logits(int stream) const;

  // What caches and buffers take.
  static uint64_t Bytes(const files::ModelConfig& config, const StreamBatchOptions& options,
                        int n_threads);

  int max_streams() const { return static_cast<int>(streams_.size()); }
  int64_t context() const { return context_; }
  int64_t length(int stream) const { return At(stream).cache.length(); }     // tokens run
  int64_t n_tokens(int stream) const { return std::ssize(At(stream).ids); }  // and waiting
  int64_t n_waiting(int stream) const { return n_tokens(stream) - length(stream); }
  // Positions that were copied from another stream instead of run, so far.
  int64_t n_copied() const { return n_copied_; }

 private:
  struct Stream {
    KvCache cache;             // of ids[0, cache.length()), also after the stream was removed
    std::vector<int32_t> ids;  // room for the context
    bool in_use = false;
    Phase phase = Phase::kPrefill;  // of the tokens that wait
    uint64_t turn = 0;              // grows with each Add and Remove
    int64_t logits_row = -1;        // of logits_, with the last step
  };
  const Stream& At(int stream) const;
  Stream& At(int stream);
  void CheckTokens(int64_t n_before, std::span<const int32_t> ids) const;
  Stream& FreeStream(std::span<const int32_t> ids);
  void Share(Stream& to);
  bool ShouldWait(const Stream& stream) const;
  void AddToWave(int stream, int64_t most_rows);
  void FillWave();

  ThreadPool& pool_;
  int64_t context_, wave_rows_, vocab_size_;
  bool mixes_phases_;                  // in a wave, since they do not differ
  Phase last_phase_ = Phase::kDecode;  // of the last step
  std::vector<Stream> streams_;
  Sweep sweep_;
  uint64_t turn_ = 0;
  int64_t n_copied_ = 0;

  // The step being run.
  Wave wave_;
  std::vector<int> prompts_;        // streams in which more than one token waits, by turn
  std::vector<int64_t> last_rows_;  // of the streams that get logits
  std::vector<float> logits_;       // [max_streams, vocab_size]
};

}  // namespace moescope::engine
