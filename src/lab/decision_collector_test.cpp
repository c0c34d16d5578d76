#include "lab/decision_collector.h"

#include <gtest/gtest.h>

namespace moescope::lab {
namespace {

TEST(DecisionCollector, HasAnEntryForEveryRoutedLayer) {
  const routing::RouterDescription router{.n_experts = 8, .experts_per_token = 2};
  const DecisionCollector collector(router, 3, 10, /*keep_logits=*/true);
  const std::vector<store::LayerRoutes> routes = collector.Routes(7);
  ASSERT_EQ(routes.size(), 3u);
  EXPECT_EQ(routes[2].experts.size(), 14u);
  EXPECT_EQ(routes[2].margins.size(), 7u);
  EXPECT_EQ(routes[2].logits.size(), 56u);
  EXPECT_EQ(DecisionCollector::BytesPerRow(router, 3, true), 3u * (2 * 6 + 2 * 4 + 8 * 4));
}

TEST(DecisionCollector, KeepsNothingOfADenseModel) {
  const routing::RouterDescription dense{.n_experts = 0, .experts_per_token = 0};
  const DecisionCollector collector(dense, 32, 1'000'000, /*keep_logits=*/false);
  EXPECT_TRUE(collector.Routes(1'000'000).empty());
  EXPECT_EQ(DecisionCollector::BytesPerRow(dense, 32, false), 0u);
}

}  // namespace
}  // namespace moescope::lab
