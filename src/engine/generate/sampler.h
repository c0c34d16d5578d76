// Which token comes next: greedy, or drawn from the logits after the usual cuts.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace moescope::engine {

// Applied in this order, as transformers does: repetition penalty, temperature, top-k, top-p,
// min-p.
struct SamplingOptions {
  double temperature = 0;         // 0: greedy, the largest logit, ties to the lower id
  int top_k = 0;                  // keep the k most likely tokens; 0: all
  double top_p = 1;               // keep the fewest tokens that have this probability together
  double min_p = 0;               // keep those with at least this share of the best one's
  double repetition_penalty = 1;  // logits of tokens seen: divided if positive, else multiplied
  int penalty_window = 64;        // how many of the latest tokens count as seen; 0: all
  uint64_t seed = 1;
};

// Throws Error(kBadInput) naming an option out of its range.
void CheckSampling(const SamplingOptions& options);

// The n-th token depends on seed, n, logits and history alone, on every machine. Not thread-safe.
class Sampler {
 public:
  // Throws Error(kBadInput) as CheckSampling.
  explicit Sampler(const SamplingOptions& options);

  // history: the tokens so far, prompt included. Requires: finite logits, at least one.
  int32_t Next(std::span<const float> logits, std::span<const int32_t> history);

 private:
  void Penalise(std::span<const int32_t> history);
  void Cut();
  double Uniform();

  SamplingOptions options_;
  uint64_t n_drawn_ = 0;
  std::vector<float> logits_;
  struct Candidate {
    double weight;  // probability times a constant; the best has 1
    int32_t id;
  };
  std::vector<Candidate> candidates_;  // best first, ties by id
};

}  // namespace moescope::engine
