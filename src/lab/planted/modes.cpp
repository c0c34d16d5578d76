#include "lab/planted/modes.h"

namespace moescope::lab {
namespace {

// The logit of the right token with all of the weight on experts that write it; half of it with
// half. Small enough that both losses are well above 0.
constexpr double kAnswerLogit = 4;

}  // namespace

PlantedWeights ModesModel(ModesPlant plant) {
  PlantedWeights weights("?!", {.n_layers = 2, .n_experts = 4, .n_extra = 1});
  const int answer = weights.Extra(0);
  const int layer = kFirstExpert.layer;
  // Of the experts by rank; ranks 1 to 3 have nearly the same weight.
  constexpr int kByRank[] = {kFirstExpert.expert, 0, 3, 1};
  for (int rank = 0; rank < 4; ++rank) {
    const int expert = kByRank[rank];
    weights.RouterReads(layer, expert, PlantedWeights::kConstant, rank == 3 ? 0 : 10 - 1e-3 * rank);
    const bool works = rank == 0 || rank == 2 || (rank == 1 && plant == ModesPlant::kIdentical);
    if (works) weights.ExpertWrites(layer, expert, weights.CodeOf('?'), answer, 1);
  }
  weights.HeadReads(weights.TokenOf('!'), answer, kAnswerLogit);
  return weights;
}

std::string ModesText() {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "?!";
  return text;
}

}  // namespace moescope::lab
