#include "routing/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace moescope::routing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Choice {
  std::vector<int16_t> experts;
  std::vector<float> weights;
};

Choice Choose(const RouterDescription& router, const std::vector<float>& logits) {
  Choice choice{std::vector<int16_t>(router.experts_per_token),
                std::vector<float>(router.experts_per_token)};
  ChooseExperts(router, logits.data(), choice.experts.data(), choice.weights.data());
  return choice;
}

TEST(ChooseExperts, PutsTheLargestLogitFirst) {
  Choice choice = Choose({.n_experts = 4, .experts_per_token = 2}, {0.0f, 3.0f, -1.0f, 2.0f});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{1, 3}));
  EXPECT_NEAR(choice.weights[0], 1 / (1 + std::exp(-1.0)), 1e-7);
  EXPECT_NEAR(choice.weights[1], 1 / (1 + std::exp(1.0)), 1e-7);
}

TEST(ChooseExperts, BreaksTiesToTheLowerIndex) {
  Choice choice = Choose({.n_experts = 5, .experts_per_token = 3}, {1.0f, 2.0f, 1.0f, 2.0f, 1.0f});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{1, 3, 0}));
  choice = Choose({.n_experts = 3, .experts_per_token = 2}, {-0.0f, 0.0f, 0.0f});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{0, 1}));
}

TEST(ChooseExperts, GivesExactlyOneToASingleChoice) {
  for (float logit : {-80.0f, 0.0f, 0.37f, 88.0f}) {
    EXPECT_EQ(Choose({.n_experts = 2, .experts_per_token = 1}, {logit, logit - 1}).weights[0],
              1.0f);
  }
}

TEST(ChooseExperts, TakesAllWhenKIsE) {
  RouterDescription router{.n_experts = 3, .experts_per_token = 3};
  std::vector<float> logits = {0.5f, -0.5f, 1.5f};
  Choice choice = Choose(router, logits);
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{2, 0, 1}));
  EXPECT_NEAR(choice.weights[0] + choice.weights[1] + choice.weights[2], 1, 1e-6);
  EXPECT_EQ(Margin(router, logits.data(), choice.experts.data()), kInfinity);
}

TEST(ChooseExperts, AgreesWithSortingOnRandomLogits) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> level(0, 9);  // few levels: many ties
  for (int round = 0; round < 500; ++round) {
    RouterDescription router{.n_experts = 1 + static_cast<int>(random() % 40)};
    router.experts_per_token = 1 + static_cast<int>(random() % router.n_experts);
    std::vector<float> logits(router.n_experts);
    for (float& logit : logits) logit = static_cast<float>(level(random));
    std::vector<int16_t> order(router.n_experts);
    for (int e = 0; e < router.n_experts; ++e) order[e] = static_cast<int16_t>(e);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return logits[a] > logits[b]; });
    order.resize(router.experts_per_token);
    EXPECT_EQ(Choose(router, logits).experts, order);
  }
}

TEST(ChooseExperts, SoftmaxOverAllKeepsTheMassOfTheOthersUnlessRenormalised) {
  std::vector<float> logits = {1.0f, 2.0f, 0.0f};
  double sum = std::exp(1.0) + std::exp(2.0) + std::exp(0.0);
  RouterDescription router{
      .n_experts = 3, .experts_per_token = 2, .score = ScoreFunction::kSoftmaxOverAll};
  EXPECT_NEAR(Choose(router, logits).weights[0], std::exp(2.0) / sum, 1e-6);
  EXPECT_NEAR(Choose(router, logits).weights[1], std::exp(1.0) / sum, 1e-6);
  router.renormalise = true;
  EXPECT_NEAR(Choose(router, logits).weights[0], 1 / (1 + std::exp(-1.0)), 1e-6);
}

TEST(ChooseExperts, SigmoidScoresAndScale) {
  RouterDescription router{
      .n_experts = 3, .experts_per_token = 2, .score = ScoreFunction::kSigmoid, .scale = 2.5f};
  Choice choice = Choose(router, {0.0f, 2.0f, -3.0f});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{1, 0}));
  EXPECT_NEAR(choice.weights[0], 2.5 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(choice.weights[1], 1.25, 1e-6);
}

TEST(ChooseExperts, NeverChoosesAMaskedExpert) {
  RouterDescription router{.n_experts = 3, .experts_per_token = 2};
  Choice choice = Choose(router, {-kInfinity, 1.0f, -kInfinity});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{1, -1}));
  EXPECT_EQ(choice.weights, (std::vector<float>{1.0f, 0.0f}));
  choice = Choose(router, {-kInfinity, -kInfinity, -kInfinity});
  EXPECT_EQ(choice.experts, (std::vector<int16_t>{-1, -1}));
  EXPECT_EQ(choice.weights, (std::vector<float>{0.0f, 0.0f}));
}

TEST(Margin, IsTheGapBetweenTheLastChosenAndTheFirstRefused) {
  RouterDescription router{.n_experts = 4, .experts_per_token = 2};
  std::vector<float> logits = {0.25f, 3.0f, -1.0f, 2.0f};
  Choice choice = Choose(router, logits);
  EXPECT_EQ(Margin(router, logits.data(), choice.experts.data()), 1.75f);
}

TEST(Entropy, OfEqualLogitsIsLogEAndOfACertainOneZero) {
  RouterDescription router{.n_experts = 8, .experts_per_token = 2};
  std::vector<float> logits(8, 4.5f);
  EXPECT_FLOAT_EQ(Entropy(router, logits.data()), std::log(8.0f));
  logits[3] = 200;
  EXPECT_EQ(Entropy(router, logits.data()), 0.0f);
  std::vector<float> masked(8, -kInfinity);
  masked[1] = masked[6] = 1;
  EXPECT_FLOAT_EQ(Entropy(router, masked.data()), std::log(2.0f));
}

}  // namespace
}  // namespace moescope::routing
