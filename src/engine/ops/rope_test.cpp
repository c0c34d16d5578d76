#include "engine/ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace moescope::engine {
namespace {

files::ModelConfig Config(int head_dim, double theta) {
  files::ModelConfig config;
  config.head_dim = head_dim;
  config.rope_theta = theta;
  return config;
}

std::vector<double> Plain(int head_dim, double theta) {
  return RopeFrequencies(Config(head_dim, theta), {});
}

TEST(RopeTable, TurnsPairsByPositionTimesFrequency) {
  const int head_dim = 6;
  const double theta = 10000;
  for (files::RopeLayout layout : {files::RopeLayout::kHalves, files::RopeLayout::kInterleaved}) {
    RopeTable rope(Plain(head_dim, theta), 1, 400, layout);
    std::vector<float> heads = {1, 2, 3, 4, 5, 6, -1, 0.5f, 2, 0, 1, -3};
    const std::vector<float> before = heads;
    rope.Apply(heads.data(), 2, 399);
    for (int head = 0; head < 2; ++head) {
      for (int pair = 0; pair < head_dim / 2; ++pair) {
        const bool halves = layout == files::RopeLayout::kHalves;
        const int i = head * head_dim + (halves ? pair : 2 * pair);
        const int j = halves ? i + head_dim / 2 : i + 1;
        const double angle = 399 * std::pow(theta, -2.0 * pair / head_dim);
        EXPECT_NEAR(heads[i], before[i] * std::cos(angle) - before[j] * std::sin(angle), 2e-6);
        EXPECT_NEAR(heads[j], before[j] * std::cos(angle) + before[i] * std::sin(angle), 2e-6);
      }
    }
  }
}

TEST(RopeFrequencies, ScaleAsTheConfigurationSays) {
  using Kind = files::RopeScaling::Kind;
  files::ModelConfig config = Config(16, 10000);
  const std::vector<double> plain = RopeFrequencies(config, {});
  config.rope_scaling = {.kind = Kind::kLinear, .factor = 4};
  EXPECT_DOUBLE_EQ(RopeFrequencies(config, {})[3], plain[3] / 4);

  config.rope_scaling = {.kind = Kind::kLlama3,
                         .factor = 8,
                         .original_context = 256,
                         .low_frequency_factor = 1,
                         .high_frequency_factor = 4};
  const std::vector<double> llama3 = RopeFrequencies(config, {});
  // Pair 0 turns 41 times in the old context, pair 2 4.1 times, pair 3 1.3, pair 4 0.4 times.
  EXPECT_DOUBLE_EQ(llama3[2], plain[2]);
  const double smooth = (256 * plain[3] / (2 * std::numbers::pi) - 1) / 3;
  EXPECT_DOUBLE_EQ(llama3[3], (1 - smooth) * plain[3] / 8 + smooth * plain[3]);
  EXPECT_DOUBLE_EQ(llama3[4], plain[4] / 8);

  config.rope_scaling = {.kind = Kind::kYarn, .factor = 4, .original_context = 512};
  const std::vector<double> yarn = RopeFrequencies(config, {});
  // log(512 / (32 2 pi)) and log(512 / (2 pi)) over log(10000), times 8: 0.81 and 3.82.
  EXPECT_DOUBLE_EQ(yarn[0], plain[0]);
  EXPECT_DOUBLE_EQ(yarn[1], plain[1] * (0.25 / 4 + 0.75));
  EXPECT_DOUBLE_EQ(yarn[4], plain[4] / 4);

  config.rope_scaling = {.kind = Kind::kFactors};
  const std::vector<float> factors = {1, 1, 1, 2, 4, 4, 4, 4};
  EXPECT_DOUBLE_EQ(RopeFrequencies(config, factors)[3], plain[3] / 2);
}

TEST(RopeTable, LeavesPositionZeroAlone) {
  RopeTable rope(Plain(4, 1e6), 1, 1, files::RopeLayout::kHalves);
  std::vector<float> heads = {1, -2, 3, 4};
  rope.Apply(heads.data(), 1, 0);
  EXPECT_EQ(heads, (std::vector<float>{1, -2, 3, 4}));
}

}  // namespace
}  // namespace moescope::engine
