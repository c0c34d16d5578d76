#include "engine/generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"

namespace moescope::engine {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

// How often each token is drawn.
std::map<int32_t, double> Shares(const SamplingOptions& options, int n = 20000) {
  Sampler sampler(options);
  std::map<int32_t, double> shares;
  for (int i = 0; i < n; ++i) shares[sampler.Next(kLogits, {})] += 1.0 / n;
  return shares;
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualOnesTheFirst) {
  Sampler sampler({});
  EXPECT_EQ(sampler.Next(kLogits, {}), 1);
}

TEST(Sampler, DrawsByTheSoftmaxAtItsTemperature) {
  for (double temperature : {0.7, 1.0, 3.0}) {
    const auto shares = Shares({.temperature = temperature});
    double total = 0;
    for (float logit : kLogits) total += std::exp(logit / temperature);
    for (size_t id = 0; id < kLogits.size(); ++id) {
      const double p = std::exp(kLogits[id] / temperature) / total;
      const auto at = shares.find(static_cast<int32_t>(id));
      const double error = 5 * std::sqrt(p * (1 - p) / 20000);  // five standard errors
      EXPECT_NEAR(at == shares.end() ? 0 : at->second, p, error) << temperature << " " << id;
    }
  }
}

TEST(Sampler, CutsKeepTheTokensTheySay) {
  auto kept = [](const SamplingOptions& options) {
    std::vector<int32_t> ids;
    for (const auto& [id, share] : Shares(options, 3000)) ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(kept({.temperature = 1, .top_k = 1}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.temperature = 1, .top_k = 3}), (std::vector<int32_t>{1, 2, 3}));
  // Probabilities are about 0.40, 0.40, 0.15, 0.05, 0.01.
  EXPECT_EQ(kept({.temperature = 1, .top_p = 0.3}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.temperature = 1, .top_p = 0.7}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.temperature = 1, .min_p = 0.3}), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept({.temperature = 1, .top_k = 3, .top_p = 0.5, .min_p = 0.9}),
            (std::vector<int32_t>{1, 3}));
}

TEST(Sampler, PenalisesWhatTheWindowHolds) {
  const std::vector<int32_t> history = {3, 1, 4};
  EXPECT_EQ(Sampler({.repetition_penalty = 2}).Next(kLogits, history), 2);
  EXPECT_EQ(Sampler({.repetition_penalty = 2, .penalty_window = 2}).Next(kLogits, history), 3);
  // A negative logit is multiplied: the penalty never makes a token likelier.
  const std::vector<float> negative = {-1, -1.5f};
  EXPECT_EQ(Sampler({.repetition_penalty = 2}).Next(negative, std::vector<int32_t>{0}), 1);
}

TEST(Sampler, ASeedGivesTheSameTokensAndAnotherSeedOthers) {
  auto draw = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.Next(kLogits, {}));
    return ids;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Sampler({.temperature = -1}), Error);
  EXPECT_THROW(Sampler({.temperature = std::nan("")}), Error);
  EXPECT_THROW(Sampler({.top_p = 0}), Error);
  EXPECT_THROW(Sampler({.min_p = 2}), Error);
  EXPECT_THROW(Sampler({.repetition_penalty = 0}), Error);
}

}  // namespace
}  // namespace moescope::engine
