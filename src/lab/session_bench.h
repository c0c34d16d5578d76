// Prefill and decode of one session, and decode of many streams, timed: what `run` and `chat` wait
// for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/model/model.h"
#include "engine/ops/precision.h"

namespace moescope::lab {

// The rates of one row, and what a token of it costs.
struct SessionRates {
  std::vector<double> tokens_per_s;  // a value a run, summed over streams
  double flops_per_token = 0;        // actually run, the head on the last token of a prefill
  // Of decoding: weights as stored that a step reads, over its tokens. Experts are counted as the
  // run chose them, each once a layer and step.
  double bytes_per_token = 0;
};

// Times sessions of one model on random ids, the same each time. Every run must end with the same
// logits. Not thread-safe.
class SessionBench {
 public:
  // The first run of each kind is not counted: it pages the weights in.
  SessionBench(const engine::Model& model, ThreadPool& pool, engine::Precision precision,
               uint64_t memory_bytes);

  // `n_tokens` at once. Throws Error(kBadInput) beyond the model's context, Error(kInternal) when
  // two runs differ.
  SessionRates Prefill(int n_tokens, int n_runs);
  // `n_tokens` in each of `n_streams`, one by one, each the likeliest after those before it, after
  // prompts of 16, all different. A few of the streams are run alone too, and must end alike:
  // NAlone of them.
  SessionRates Decode(int n_tokens, int n_streams, int n_runs);
  static int NAlone(int n_streams);

 private:
  const engine::Model& model_;
  ThreadPool& pool_;
  engine::Precision precision_;
  uint64_t memory_bytes_;
};

}  // namespace moescope::lab
