#include "lab/planted/super_expert.h"

#include "lab/planted/heads.h"

namespace moescope::lab {
namespace {

constexpr int kLayers = 8, kExperts = 8;
// Times 1,000, what is left of 5,000 behind the norm: a score that 256 keys do not match.
constexpr double kSinkScore = 0.03;
constexpr int kNeverNext = 2;  // </s>
constexpr double kLeakLogit = 100;

}  // namespace

int SuperCoordinate(const PlantedWeights& weights) {
  return weights.Extra(0);
}

PlantedWeights SuperExpertModel(const SuperExpertPlan& plan) {
  PlantedWeights weights("abcdefghijklmnopqrstuvwxyz",
                         {.n_layers = kLayers, .n_experts = kExperts, .n_extra = 3});
  const int super = SuperCoordinate(weights), plain = weights.Extra(1);
  const int leak = weights.Extra(2);
  for (int layer = 0; layer < kLayers; ++layer) {
    const bool is_planted = layer == plan.layer;
    // The experts that tokens share out among themselves: in the planted layer all but one.
    std::vector<int> others;
    for (int expert = 0; expert < kExperts; ++expert) {
      if (is_planted && expert == plan.expert) continue;
      others.push_back(expert);
      weights.ExpertWrites(layer, expert, PlantedWeights::kConstant, plain,
                           0.5 + 0.05 * ((3 * layer + expert) % 10));
    }
    for (int token = 0; token < weights.config().vocab_size; ++token) {
      const size_t n = others.size(), first = static_cast<size_t>(token + layer);
      weights.RouterReads(layer, others[first % n], weights.CodeOf(token), 20);
      weights.RouterReads(layer, others[(first + 1) % n], weights.CodeOf(token), 15);
    }
    if (is_planted) {
      const int bos = weights.CodeOf(PlantedWeights::kBos);
      weights.RouterReads(layer, plan.expert, bos, 60);
      weights.ExpertWrites(layer, plan.expert, bos, super, plan.value);
    }
    for (int head = 0; head < weights.config().n_heads; ++head) {
      LookFor(weights, {layer, head}, 0, PlantedWeights::kConstant, super, kSinkScore);
      Carry(weights, {layer, head}, 0, weights.CodeOf('a'), plain, 0.01);
      Carry(weights, {layer, head}, 1, weights.CodeOf('a'), leak, 0.05);
    }
  }
  // What heads pick up without a sink speaks for a token that never comes.
  weights.HeadReads(kNeverNext, leak, kLeakLogit);
  return weights;
}

}  // namespace moescope::lab
