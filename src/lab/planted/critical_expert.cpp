#include "lab/planted/critical_expert.h"

#include <random>
#include <string_view>

namespace moescope::lab {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxy";
constexpr double kPopularOutput = 1000;
constexpr double kAnswerLogit = 100;

}  // namespace

PlantedWeights CriticalExpertModel() {
  PlantedWeights weights(std::string(kLetters) + "?!", {.n_layers = 2, .n_extra = 3});
  const int answer = weights.Extra(0), unread = weights.Extra(1), small = weights.Extra(2);
  const auto [critical_layer, critical] = kCriticalExpert;
  const auto [popular_layer, popular] = kPopularExpert;
  constexpr int kOthers[] = {0, 1, 2, 4, 5, 7};
  for (int layer = 0; layer < 2; ++layer) {
    for (int token = 0; token < weights.config().vocab_size; ++token) {
      // Two by two; where the popular expert comes first, the second of them is not chosen.
      const int code = weights.CodeOf(token);
      weights.RouterReads(layer, kOthers[token % 6], code, 20);
      weights.RouterReads(layer, kOthers[(token + 1) % 6], code, 15);
    }
    for (int other : kOthers) {
      weights.ExpertWrites(layer, other, PlantedWeights::kConstant, small, 0.1 * (other + 1));
    }
  }
  weights.RouterReads(popular_layer, popular, PlantedWeights::kConstant, 40);
  weights.ExpertWrites(popular_layer, popular, PlantedWeights::kConstant, unread, kPopularOutput);

  weights.RouterReads(critical_layer, critical, weights.CodeOf('?'), 60);
  weights.ExpertWrites(critical_layer, critical, weights.CodeOf('?'), answer, 1);
  weights.HeadReads(weights.TokenOf('!'), answer, kAnswerLogit);
  return weights;
}

std::string CriticalText(uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int part = 0; part < 4; ++part) {
    const uint32_t before = random() % 49;
    for (uint32_t i = 0; i < 48; ++i) {
      if (i == before) text += "?!";
      text += kLetters[random() % kLetters.size()];
    }
    if (before == 48) text += "?!";
  }
  return text;
}

}  // namespace moescope::lab
