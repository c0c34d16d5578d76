// Prefill and decode of one session, timed: what `run` and `chat` wait for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/generate/session.h"
#include "engine/model/model.h"

namespace moescope::lab {

// The rates of one row, and what a token of it costs.
struct SessionRates {
  std::vector<double> tokens_per_s;  // a value a run
  double flops_per_token = 0;        // actually run, the head on the last token of a prefill
  double seconds = 0;                // of all runs
  uint64_t bytes_read = 0;           // from disk in them, where experts are streamed
  uint64_t bytes_per_token = 0;      // of weights as stored that a decoded token reads
};

// Times sessions of one model on random ids, the same each time. Every run must end with the same
// logits. Not thread-safe.
class SessionBench {
 public:
  // The first run of each kind is not counted: it pages the weights in.
  // Of the options the context is chosen here.
  SessionBench(const engine::Model& model, ThreadPool& pool, const engine::SessionOptions& options);

  // What a session for so many tokens takes beside the weights.
  static uint64_t Bytes(const files::ModelConfig& config, int n_tokens, engine::Precision precision,
                        int n_threads);

  // `n_tokens` at once. Throws Error(kBadInput) beyond the model's context, Error(kInternal) when
  // two runs differ.
  SessionRates Prefill(int n_tokens, int n_runs);
  // `n_tokens` one by one, each the likeliest after those before it, after a prompt of 16.
  SessionRates Decode(int n_tokens, int n_runs);

 private:
  const engine::Model& model_;
  ThreadPool& pool_;
  engine::SessionOptions options_;
};

}  // namespace moescope::lab
