// How a layer chooses experts, described by data: score function, top-k, renormalisation.
#pragma once

#include <cstdint>

namespace moescope::routing {

enum class ScoreFunction { kSoftmaxOverAll, kSoftmaxOverChosen, kSigmoid };

struct RouterDescription {
  int n_experts = 0;
  int experts_per_token = 0;
  ScoreFunction score = ScoreFunction::kSoftmaxOverChosen;
  bool renormalise = false;  // divide the chosen weights by their sum (after kSoftmaxOverAll)
  float scale = 1;           // multiplies the weights
};

// Chooses for one row.
//   logits   [n_experts] float32; -infinity marks an expert that may not be chosen
//   experts  [experts_per_token] chosen experts, largest logit first, ties to the lower index;
//            -1 in the slots left over when fewer experts may be chosen
//   weights  [experts_per_token] what multiplies the expert outputs; 0 beside a -1
// Sums run in slot order (over the chosen) or index order (over all), in float32.
// Requires: no NaN and no +infinity (the caller checks), 1 <= experts_per_token <= n_experts.
// No allocation. Source: Mixtral of Experts, arXiv 2401.04088, section 2.1.
void ChooseExperts(const RouterDescription& router, const float* logits, int16_t* experts,
                   float* weights) noexcept;

// The weights alone, of experts chosen otherwise: in any order, -1 in unused slots.
// Requires: no expert with a logit of -infinity.
void WeighExperts(const RouterDescription& router, const float* logits, const int16_t* experts,
                  float* weights) noexcept;

// K-th minus (K+1)-th largest logit; +infinity when nothing could have replaced the K-th choice
// (K = E, the rest masked, or the last slot dropped). `experts` as chosen above.
float Margin(const RouterDescription& router, const float* logits, const int16_t* experts) noexcept;
// Entropy in nats of the softmax over all experts; a masked expert counts as probability 0.
float Entropy(const RouterDescription& router, const float* logits) noexcept;

}  // namespace moescope::routing
