#include "routing/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moescope::routing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Fills `experts` with the K largest logits by insertion, -1 where none is left.
void ChooseLargest(const RouterDescription& router, const float* logits, int16_t* experts) {
  const int k = router.experts_per_token;
  int n_chosen = 0;
  for (int expert = 0; expert < router.n_experts; ++expert) {
    float logit = logits[expert];
    if (logit == -kInfinity) continue;
    int slot = n_chosen;
    while (slot > 0 && logits[experts[slot - 1]] < logit) --slot;  // strict: ties stay in order
    if (slot == k) continue;
    n_chosen = std::min(n_chosen + 1, k);
    std::copy_backward(experts + slot, experts + n_chosen - 1, experts + n_chosen);
    experts[slot] = static_cast<int16_t>(expert);
  }
  std::fill(experts + n_chosen, experts + k, int16_t{-1});
}

// What the exponents are taken relative to: the largest of the logits that are summed.
float LargestWeighed(const RouterDescription& router, const float* logits, const int16_t* experts) {
  float largest = -kInfinity;
  if (router.score == ScoreFunction::kSoftmaxOverAll && !router.renormalise) {
    largest = *std::max_element(logits, logits + router.n_experts);
  } else {
    for (int slot = 0; slot < router.experts_per_token; ++slot) {
      if (experts[slot] >= 0) largest = std::max(largest, logits[experts[slot]]);
    }
  }
  return largest == -kInfinity ? 0.0f : largest;
}

}  // namespace

void ChooseExperts(const RouterDescription& router, const float* logits, int16_t* experts,
                   float* weights) noexcept {
  ChooseLargest(router, logits, experts);
  WeighExperts(router, logits, experts, weights);
}

void WeighExperts(const RouterDescription& router, const float* logits, const int16_t* experts,
                  float* weights) noexcept {
  const int k = router.experts_per_token;
  const float largest = LargestWeighed(router, logits, experts);
  float sum_chosen = 0;
  for (int slot = 0; slot < k; ++slot) {
    weights[slot] = 0;
    if (experts[slot] < 0) continue;
    float logit = logits[experts[slot]];
    weights[slot] = router.score == ScoreFunction::kSigmoid ? 1.0f / (1.0f + std::exp(-logit))
                                                            : std::exp(logit - largest);
    sum_chosen += weights[slot];
  }

  float divisor = 1;
  if (router.score == ScoreFunction::kSoftmaxOverChosen || router.renormalise) {
    divisor = sum_chosen;
  } else if (router.score == ScoreFunction::kSoftmaxOverAll) {
    divisor = 0;
    for (int e = 0; e < router.n_experts; ++e) divisor += std::exp(logits[e] - largest);
  }
  if (!(divisor > 0)) return;  // nothing may be chosen: all weights are 0 already
  for (int slot = 0; slot < k; ++slot) weights[slot] = weights[slot] / divisor * router.scale;
}

float Margin(const RouterDescription& router, const float* logits,
             const int16_t* experts) noexcept {
  const int k = router.experts_per_token;
  if (experts[k - 1] < 0) return kInfinity;
  float runner_up = -kInfinity;
  for (int expert = 0; expert < router.n_experts; ++expert) {
    if (std::find(experts, experts + k, expert) == experts + k) {
      runner_up = std::max(runner_up, logits[expert]);
    }
  }
  return logits[experts[k - 1]] - runner_up;
}

float Entropy(const RouterDescription& router, const float* logits) noexcept {
  const float largest = *std::max_element(logits, logits + router.n_experts);
  if (largest == -kInfinity) return 0;
  // In double: near-deterministic routers have entropies far below float32's rounding of log(sum).
  double sum = 0, weighted = 0;
  for (int expert = 0; expert < router.n_experts; ++expert) {
    if (logits[expert] == -kInfinity) continue;
    double shifted = static_cast<double>(logits[expert]) - largest;
    double p = std::exp(shifted);
    sum += p;
    weighted += p * shifted;
  }
  return static_cast<float>(std::log(sum) - weighted / sum);
}

}  // namespace moescope::routing
