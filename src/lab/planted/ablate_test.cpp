// The treasure hunt on planted models: the expert that matters is found without being named.
#include "lab/ablate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "lab/intervention_probe.h"
#include "lab/planted/critical_expert.h"
#include "lab/planted/modes.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

using routing::Cell;
using routing::Intervention;
using routing::InterventionMode;

class PlantedAblation : public store::TestDirectory {
 protected:
  void Open(const PlantedWeights& weights, const std::vector<std::string>& texts) {
    weights.Write(Path("model"));
    opened_ = OpenTextModel(Path("model"));
    std::ofstream out(Path("texts.jsonl"));
    for (const std::string& text : texts) out << "{\"text\": \"" << text << "\"}\n";
    options_.data.resize(1);
    options_.data[0].name = "texts";
    options_.data[0].path = Path("texts.jsonl");
    options_.n_threads = 2;
  }

  // Nats a prediction that each intervention adds.
  std::vector<double> Effects(const std::vector<Intervention>& branches) {
    const Ablation ablation = Ablate(opened_, branches, options_);
    std::vector<double> sums(branches.size() + 1);
    double n = 0;
    for (size_t unit = 0; unit < ablation.units.size(); ++unit) {
      n += static_cast<double>(ablation.predictions[unit]);
      for (size_t column = 0; column < sums.size(); ++column) {
        sums[column] += ablation.Loss(unit, column);
      }
    }
    std::vector<double> effects;
    for (size_t column = 1; column < sums.size(); ++column) {
      effects.push_back((sums[column] - sums[0]) / n);
    }
    return effects;
  }

  double Effect(const std::string& text) {
    return Effects({routing::ParseIntervention(text, RoutedModelOf(*opened_.model), "")})[0];
  }

  TextModel opened_;
  AblationOptions options_;
};

std::vector<std::string> CriticalTexts() {
  std::vector<std::string> texts;
  for (uint32_t seed = 1; seed <= 3; ++seed) texts.push_back(CriticalText(seed));
  return texts;
}

TEST_F(PlantedAblation, TheHuntFindsTheCriticalExpertAndNotThePopularOne) {
  Open(CriticalExpertModel(), CriticalTexts());
  const double expected = 0.02 * std::log(CriticalExpertModel().config().vocab_size);
  for (InterventionMode mode :
       {InterventionMode::kMask, InterventionMode::kZero, InterventionMode::kDrop}) {
    std::vector<Intervention> hunt;
    for (int expert = 0; expert < 8; ++expert) {
      hunt.push_back({.mode = mode, .run = {}, .cells = routing::CellsOf({0, 1}, {expert})});
    }
    const std::vector<double> effects = Effects(hunt);
    for (int expert = 0; expert < 8; ++expert) {
      EXPECT_NEAR(effects[static_cast<size_t>(expert)],
                  expert == kCriticalExpert.expert ? expected : 0, 1e-6)
          << routing::Name(mode) << " " << expert;
    }
  }
}

TEST_F(PlantedAblation, EachCellIsFoundByItself) {
  Open(CriticalExpertModel(), CriticalTexts());
  const double expected = 0.02 * std::log(CriticalExpertModel().config().vocab_size);
  std::vector<Intervention> cells;
  for (int layer = 0; layer < 2; ++layer) {
    for (int expert = 0; expert < 8; ++expert) {
      cells.push_back({.mode = InterventionMode::kZero, .run = {}, .cells = {{layer, expert}}});
    }
  }
  const std::vector<double> effects = Effects(cells);
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool is_critical =
        cells[i].cells[0] == Cell{kCriticalExpert.layer, kCriticalExpert.expert};
    EXPECT_NEAR(effects[i], is_critical ? expected : 0, 1e-6) << i;
  }
}

TEST_F(PlantedAblation, WithIdenticalExpertsMaskAndDropLoseNothingAndZeroDoes) {
  Open(ModesModel(ModesPlant::kIdentical), {ModesText()});
  EXPECT_NEAR(Effect("mask@1:2"), 0, 1e-5);
  EXPECT_NEAR(Effect("drop@1:2"), 0, 1e-5);
  // After "?", half of the predictions, the logit of "!" among five tokens falls from 4 to 2.
  const auto loss = [](double logit) { return std::log(std::exp(logit) + 4) - logit; };
  EXPECT_NEAR(Effect("zero@1:2"), (loss(2) - loss(4)) / 2, 1e-3);
}

TEST_F(PlantedAblation, WithANoOpBetweenMaskLosesLessThanDrop) {
  Open(ModesModel(ModesPlant::kNoOpBetween), {ModesText()});
  // The copy at rank 3 steps in beside the no-op: as before. Dropped, only the no-op is left.
  EXPECT_NEAR(Effect("mask@1:2"), 0, 1e-3);
  const auto loss = [](double logit) { return std::log(std::exp(logit) + 4) - logit; };
  EXPECT_NEAR(Effect("drop@1:2"), (loss(0) - loss(2)) / 2, 1e-3);
  EXPECT_NEAR(Effect("zero@1:2"), (loss(0) - loss(2)) / 2, 1e-3);
  // In the place of the no-op the copy doubles what is written.
  EXPECT_NEAR(Effect("swap:3@1:0"), (loss(4) - loss(2)) / 2, 1e-3);
}

}  // namespace
}  // namespace moescope::lab
