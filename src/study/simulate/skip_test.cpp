#include "study/simulate/skip.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace moescope::study {
namespace {

TEST(ComputeSkipping, DropsBelowBetaAndTheMedianIsBeta) {
  RowColumnsBuilder builder;
  for (int dataset = 0; dataset < 2; ++dataset) {
    builder.BeginDocument(dataset, dataset == 0 ? "a" : "b", "unit");
    builder.BeginSequence();
    for (int row = 0; row < 3; ++row) builder.AddRow(0, row, false);
  }
  const RowColumns rows = builder.Finish();
  LayerColumns layer;
  layer.n_experts = 4;
  layer.experts_per_token = 2;
  layer.experts = {0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, -1};
  // Ratios of a: 0.25, 0.5, 1; of b: 0.125, 0.75; its last row has no second expert.
  const std::vector<float> weights = {0.8f, 0.2f, 0.5f, 0.25f, 0.5f, 0.5f,
                                      0.8f, 0.1f, 0.4f, 0.3f,  1,    0};
  ThreadPool pool(1);
  const auto cells = ComputeSkipping(rows, layer, weights, {std::nullopt, 1.0, 0.0}, {}, pool);
  EXPECT_FALSE(cells[0].interval.has_value());
  EXPECT_EQ(cells[0].why_no_interval, WhyNoInterval(1, ""));
  ASSERT_EQ(cells.size(), 6u);
  EXPECT_TRUE(cells[0].is_auto);
  EXPECT_DOUBLE_EQ(cells[0].beta, 0.5);  // the middle of all five
  EXPECT_EQ(cells[0].dropped, 1);        // 0.25: a ratio of beta itself stays
  EXPECT_DOUBLE_EQ(cells[0].share, 1.0 / 3);
  EXPECT_DOUBLE_EQ(cells[0].work_saved, 1.0 / 6);
  EXPECT_DOUBLE_EQ(cells[0].median_ratio, 0.5);
  EXPECT_EQ(cells[1].dropped, 2);
  EXPECT_EQ(cells[2].dropped, 0);
  EXPECT_EQ(cells[3].tokens, 2);
  EXPECT_DOUBLE_EQ(cells[3].share, 0.5);
  EXPECT_DOUBLE_EQ(cells[3].work_saved, 0.2);        // one of five assignments
  EXPECT_NEAR(cells[3].median_ratio, 0.4375, 1e-7);  // the mean of the middle two
}

TEST(ParseBetas, ReadsAutoAndNumbers) {
  const auto betas = ParseBetas("auto,0.5");
  ASSERT_EQ(betas.size(), 2u);
  EXPECT_FALSE(betas[0].has_value());
  EXPECT_EQ(betas[1], 0.5);
  for (const char* wrong : {"", "-0.1", "1.5", "auto,", "x", "nan"}) {
    EXPECT_THROW(ParseBetas(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace moescope::study
