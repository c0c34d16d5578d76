#include "engine/ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(RopeTable, LeavesPositionZeroAlone) {
  RopeTable rope(Plain(4, 1e6), 1, 1, files::RopeLayout::kHalves);
  std::vector<float> heads = {1, -2, 3, 4};
  rope.Apply(heads.data(), 1, 0);
  EXPECT_EQ(heads, (std::vector<float>{1, -2, 3, 4}));
}

}  // namespace
}  // namespace moescope::engine
