// Prefill and decode of one session, and decode of many streams, timed: what `run` and `chat` wait
// for.
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
  std::vector<double> tokens_per_s;  // a value a run, summed over streams
  double flops_per_token = 0;        // actually run, the head on the last token of a prefill
  double seconds = 0;                // of all runs
  uint64_t bytes_read = 0;           // from disk in them, where experts are streamed
  // Of decoding: what a step reads, over its tokens: weights as stored, keys and values. Experts
  // are counted as the run chose them, each once a layer and step.
  double bytes_per_token = 0;
};

struct DecodeShape {
  int n_streams = 1;
  int prompt_tokens = 16;  // of each stream; all prompts differ
  int n_tokens = 64;       // then decoded, of each stream
};

// Times sessions of one model on random ids, the same each time. Every run must end with the same
// logits. Not thread-safe.
class SessionBench {
 public:
  // The first run of each kind is not counted: it pages the weights in.
  // Of the options the context is chosen here.
  SessionBench(const engine::Model& model, ThreadPool& pool, const engine::SessionOptions& options);

  // `n_tokens` at once. Throws Error(kBadInput) beyond the model's context, Error(kInternal) when
  // two runs differ.
  SessionRates Prefill(int n_tokens, int n_runs);
  // Tokens of all streams side by side, each the likeliest after those before it. A few of the
  // streams are run alone too, and must end alike: NAlone of them.
  SessionRates Decode(const DecodeShape& shape, int n_runs);
  static int NAlone(int n_streams);

 private:
  const engine::Model& model_;
  ThreadPool& pool_;
  engine::SessionOptions options_;
};

}  // namespace moescope::lab
