#include "routing/intervention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "routing/intervention_plan.h"

namespace moescope::routing {
namespace {

RoutedModel Mixtral() {
  return {.router = {.n_experts = 4, .experts_per_token = 2}, .n_layers = 6};
}

// A router of the OLMoE kind: weights are shares of the softmax over all, and do not sum to 1.
RoutedModel Olmoe() {
  RoutedModel model = Mixtral();
  model.router.experts_per_token = 3;
  model.router.score = ScoreFunction::kSoftmaxOverAll;
  return model;
}

struct Decision {
  std::vector<int16_t> experts;
  std::vector<float> weights;
};

// One row through the steps of the engine: edit, choose, edit.
Decision Route(const std::vector<std::string>& texts, std::vector<float> logits,
               const RoutedModel& model = Mixtral(), int layer = 1, int n_slots = 0,
               const DecisionSource* forced = nullptr) {
  std::vector<Intervention> interventions;
  for (const std::string& text : texts) {
    interventions.push_back(ParseIntervention(text, model, "--intervene"));
  }
  const InterventionPlan plan(interventions, model, forced);
  RouterDescription router = model.router;
  router.experts_per_token = std::max(plan.most_slots(), n_slots);
  Decision decision;
  decision.experts.resize(static_cast<size_t>(router.experts_per_token));
  decision.weights.resize(decision.experts.size());
  plan.EditLogits(layer, logits);
  ChooseExperts(router, logits.data(), decision.experts.data(), decision.weights.data());
  plan.EditDecision(layer, {}, logits, decision.experts, decision.weights);
  return decision;
}

// Softmax of ln 4 and ln 2: 2/3 and 1/3; with ln 1: 4/7, 2/7, 1/7.
const std::vector<float> kLogits = {std::log(2.0f), std::log(1.0f), std::log(4.0f), std::log(0.5f)};

void ExpectDecision(const Decision& found, const std::vector<int16_t>& experts,
                    const std::vector<double>& weights) {
  EXPECT_EQ(found.experts, experts);
  ASSERT_EQ(found.weights.size(), weights.size());
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(found.weights[i], weights[i], 1e-6) << i;
}

TEST(Intervention, NothingLeavesTheChoice) {
  ExpectDecision(Route({}, kLogits), {2, 0}, {2.0 / 3, 1.0 / 3});
}

TEST(Intervention, MaskLetsTheNextBestStepIn) {
  ExpectDecision(Route({"mask@1:2"}, kLogits), {0, 1}, {2.0 / 3, 1.0 / 3});
  ExpectDecision(Route({"mask@1:3"}, kLogits), {2, 0}, {2.0 / 3, 1.0 / 3});
}

TEST(Intervention, ZeroLeavesTheOthersAlone) {
  ExpectDecision(Route({"zero@1:2"}, kLogits), {2, 0}, {0, 1.0 / 3});
}

TEST(Intervention, DropRenormalisesTheOthers) {
  const Decision decision = Route({"drop@1:2"}, kLogits);
  ExpectDecision(decision, {-1, 0}, {0, 1});
  EXPECT_EQ(decision.weights[1], 1.0f);
  ExpectDecision(Route({"drop@1:2,1:0"}, kLogits), {-1, -1}, {0, 0});
}

TEST(Intervention, DropKeepsTheSumWhereTheRouterDoesNotNormalise) {
  // Shares of the softmax over all: 4, 2, 1 of 7.5.
  ExpectDecision(Route({}, kLogits, Olmoe()), {2, 0, 1}, {4 / 7.5, 2 / 7.5, 1 / 7.5});
  ExpectDecision(Route({"drop@1:0"}, kLogits, Olmoe()), {2, -1, 1},
                 {7 / 7.5 * 4 / 5, 0, 7 / 7.5 * 1 / 5});
}

TEST(Intervention, SwapRunsAnotherWithTheSameWeight) {
  ExpectDecision(Route({"swap:3@1:2"}, kLogits), {3, 0}, {2.0 / 3, 1.0 / 3});
  // The one that steps in was chosen: it keeps its slot and gets both weights.
  ExpectDecision(Route({"swap:0@1:2"}, kLogits), {-1, 0}, {0, 1});
}

TEST(Intervention, TopKChoosesAsManyAsItSays) {
  ExpectDecision(Route({"top-k=1"}, kLogits), {2}, {1});
  ExpectDecision(Route({"top-k=1@1"}, kLogits), {2, -1}, {1, 0});
  ExpectDecision(Route({"top-k=3"}, kLogits), {2, 0, 1}, {4.0 / 7, 2.0 / 7, 1.0 / 7});
  // In one layer only: the others keep two of the three slots.
  ExpectDecision(Route({"top-k=3@0"}, kLogits), {2, 0, -1}, {2.0 / 3, 1.0 / 3, 0});
}

TEST(Intervention, SkipDropsALastChoiceThatWeighsLittle) {
  ExpectDecision(Route({"skip:0.51"}, kLogits), {2, -1}, {1, 0});
  ExpectDecision(Route({"skip:0.49"}, kLogits), {2, 0}, {2.0 / 3, 1.0 / 3});
  ExpectDecision(Route({"skip:1", "top-k=1@1"}, kLogits), {2, -1}, {1, 0});
}

TEST(Intervention, BiasAndTemperatureActBeforeTheChoice) {
  ExpectDecision(Route({"bias=2@1:3"}, {0, 1, 2, 1.5f}), {3, 2},
                 {1 / (1 + std::exp(-1.5)), 1 / (1 + std::exp(1.5))});
  ExpectDecision(Route({"temperature=2"}, {0, 1, 3, 0}), {2, 1},
                 {1 / (1 + std::exp(-1.0)), 1 / (1 + std::exp(1.0))});
}

TEST(Intervention, HoldsInItsLayersAlone) {
  for (const char* text : {"mask@0:2", "zero@2-5:2", "temperature=9@5", "skip:1@0,2-5"}) {
    ExpectDecision(Route({text}, kLogits), {2, 0}, {2.0 / 3, 1.0 / 3});
  }
}

// Stored decisions of one row, in any layer.
struct OneDecision : DecisionSource {
  explicit OneDecision(Decision given) : decision(std::move(given)) {}
  StoredDecision At(int, const RowInfo&) const override {
    return {decision.experts, decision.weights};
  }
  int experts_per_token() const override { return static_cast<int>(decision.experts.size()); }
  Decision decision;
};

TEST(Intervention, ForceTakesStoredExpertsAndWeighsThemAnew) {
  const OneDecision stored({{1, 0}, {0.9f, 0.1f}});
  ExpectDecision(Route({"force=run"}, kLogits, Mixtral(), 1, 0, &stored), {1, 0},
                 {1.0 / 3, 2.0 / 3});
  ExpectDecision(Route({"force-weights=run"}, kLogits, Mixtral(), 1, 0, &stored), {1, 0},
                 {0.9, 0.1});
  const OneDecision one({{3}, {1}});
  ExpectDecision(Route({"force=run"}, kLogits, Mixtral(), 1, 2, &one), {3, -1}, {1, 0});
  const OneDecision dropped({{-1, 2, 0}, {0, 0.5f, 0.5f}});
  ExpectDecision(Route({"force=run"}, kLogits, Mixtral(), 1, 0, &dropped), {-1, 2, 0},
                 {0, 2.0 / 3, 1.0 / 3});
}

TEST(Intervention, IdentitiesChangeNoBit) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const RoutedModel& model : {Mixtral(), Olmoe()}) {
    const std::string k = std::to_string(model.router.experts_per_token);
    for (int round = 0; round < 200; ++round) {
      std::vector<float> logits(4);
      for (float& logit : logits) logit = 3 * normal(random);
      const Decision plain = Route({}, logits, model);
      const OneDecision own(plain);
      for (const std::string& text :
           {std::string("bias=0"), std::string("temperature=1"), "top-k=" + k,
            std::string("skip:0"), std::string("force=r"), std::string("force-weights=r")}) {
        const Decision same = Route({text}, logits, model, 1, 0, &own);
        EXPECT_EQ(same.experts, plain.experts) << text;
        EXPECT_EQ(std::memcmp(same.weights.data(), plain.weights.data(),
                              plain.weights.size() * sizeof(float)),
                  0)
            << text;
      }
      // More slots than the row needs, as beside a branch with more experts a token.
      Decision wide = Route({}, logits, model, 1, 4);
      wide.experts.resize(plain.experts.size());
      wide.weights.resize(plain.weights.size());
      EXPECT_EQ(wide.experts, plain.experts);
      EXPECT_EQ(wide.weights, plain.weights);
    }
  }
}

TEST(Intervention, MaskingAllLeavesNothing) {
  ExpectDecision(Route({"mask@1:all"}, kLogits), {-1, -1}, {0, 0});
}

TEST(Intervention, IsWrittenInOneForm) {
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"mask@1:3,0:2,1:3", "mask@0:2,1:3"},
      {"mask@all:3", "mask@all:3"},
      {"drop@0-5:3", "drop@all:3"},
      {"zero@0-5:3,2:1", "zero@all:3,2:1"},
      {"swap=1@2:0", "swap:1@2:0"},
      {"top-k 1", "top-k=1"},
      {"top-k:1@0,2-3", "top-k=1@0,2,3"},
      {"skip=0.5@all", "skip:0.5"},
      {"bias=-0.25@all:1", "bias=-0.25@all:1"},
      {"bias 0", "bias=0"},
      {"temperature=1.5@4", "temperature=1.5@4"},
      {"force=runs/a@b/c", "force=runs/a@b/c"},
      {"force=runs/a@0", "force=runs/a@0"},
  };
  for (const auto& [text, form] : forms) {
    const Intervention parsed = ParseIntervention(text, Mixtral(), "--intervene");
    EXPECT_EQ(FormatIntervention(parsed, Mixtral()), form);
    const Intervention again = ParseIntervention(form, Mixtral(), "--intervene");
    EXPECT_EQ(again.cells, parsed.cells) << form;
  }
}

std::string Refusal(const std::vector<std::string>& texts, const RoutedModel& model = Mixtral()) {
  try {
    const OneDecision stored({{1, 0}, {0.5f, 0.5f}});
    Route(texts, kLogits, model, 1, 0, &stored);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Intervention, RefusesWhatIsNotThereNamingTheRange) {
  const std::vector<std::pair<std::string, std::string>> refusals = {
      {"mask@6:3", "--intervene 'mask@6:3': expected a layer from 0 to 5, found '6'"},
      {"mask@1:4", "expected an expert from 0 to 3, found '4'"},
      {"mask@-1:2", "expected a layer from 0 to 5, found nothing"},
      {"mask@1", "expected LAYER:EXPERT, as 1:3,5:0, found '1'"},
      {"mask@1:2,", "expected LAYER:EXPERT, as 1:3,5:0, found nothing"},
      {"mask@3-1:2", "expected a layer from 3 to 5, found '1'"},
      {"mask=1@1:2", "expected 'mask' without a number, found 'mask=1'"},
      {"melt@1:2", "expected a mode of mask, zero, drop, swap:E, top-k=N, skip:B"},
      {"swap:4@1:2", "expected the expert that steps in, from 0 to 3, found '4'"},
      {"swap@1:2", "expected the expert that steps in, from 0 to 3, found nothing"},
      {"swap:2@1:2", "expected another expert than 2 to step in for it, found itself"},
      {"top-k=0", "expected experts a token from 1 to 4, found '0'"},
      {"top-k=5", "expected experts a token from 1 to 4, found '5'"},
      {"top-k=2@0:1", "expected a layer from 0 to 5, found '0:1'"},
      {"skip:1.5", "expected a share of the first weight from 0 to 1, found '1.5'"},
      {"skip:nan", "expected a share of the first weight from 0 to 1, found 'nan'"},
      {"bias=inf", "expected a bias between -1e30 and 1e30, found 'inf'"},
      {"temperature=0", "expected a temperature from 1e-30 to 1e30, found '0'"},
      {"temperature=-1", "expected a temperature from 1e-30 to 1e30, found '-1'"},
      {"force", "expected the path of a run, force=RUN, found nothing"},
      {"", "expected a mode of mask"},
  };
  for (const auto& [text, message] : refusals) {
    EXPECT_NE(Refusal({text}).find(message), std::string::npos) << text << ": " << Refusal({text});
  }
  RoutedModel dense = Mixtral();
  dense.router.n_experts = 0;
  EXPECT_NE(Refusal({"mask@1:2"}, dense).find("a dense model"), std::string::npos);
}

TEST(Intervention, RefusesTwoThatContradictEachOther) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> refusals = {
      {{"mask@1:2", "drop@all:2"}, "both remove expert 2 of layer 1"},
      {{"top-k=1", "top-k=3@4"}, "both choose the experts of layer 4"},
      {{"force=r", "top-k=1"}, "both choose the experts of layer 0"},
      {{"skip:0.5", "skip:0.1@3"}, "both skip in layer 3"},
      {{"swap:3@1:2", "mask@1:3"}, "expert 3 of layer 1 steps in and is removed"},
      {{"force=r", "mask@1:3"}, "takes stored experts, the masked one among them"},
      {{"temperature=2", "force-weights=r@0"}, "takes stored weights, not those of its logits"},
  };
  for (const auto& [texts, message] : refusals) {
    const std::string refusal = Refusal(texts);
    EXPECT_NE(refusal.find(message), std::string::npos) << refusal;
    EXPECT_NE(refusal.find("contradict"), std::string::npos) << refusal;
  }
  EXPECT_EQ(Refusal({"mask@1:2", "drop@2:2", "zero@1:3", "temperature=2", "skip:0.1"}), "");
}

TEST(InterventionPlan, KnowsWhereItBegins) {
  const RoutedModel model = Mixtral();
  const auto first = [&](const std::string& text) {
    const Intervention parsed = ParseIntervention(text, model, "");
    return InterventionPlan(std::span(&parsed, 1), model).first_layer();
  };
  EXPECT_EQ(first("mask@3:1,5:0"), 3);
  EXPECT_EQ(first("top-k=1"), 0);
  EXPECT_EQ(first("mask"), 6);
}

}  // namespace
}  // namespace moescope::routing
