#include "study/analysis/indentation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/analysis/iid_null.h"
#include "study/analysis/planted_routes.h"
#include "study/analysis/unit_halves.h"

namespace moescope::study {
namespace {

std::vector<IndentationCell> Compute(const PlantedRoutes& planted,
                                     const std::vector<uint8_t>& is_indentation) {
  ThreadPool pool(2);
  return ComputeIndentation(planted.rows, planted.layer, is_indentation, {}, pool);
}

TEST(IidNull, ExpectsTheLargestOfTwoCountsByHand) {
  // Two experts, evenly: of two rows the larger count is 2 or 1, each half of the time.
  const std::vector<int16_t> decisions = {0, 1};
  EXPECT_NEAR(ExpectedMaxShare(decisions, 1, 2, 2, 7), 0.75, 4 * 0.25 / std::sqrt(1000.0));
  // One expert that every row chooses.
  EXPECT_EQ(ExpectedMaxShare(std::vector<int16_t>{2, 0, 2, 1}, 2, 3, 5, 7), 1);
  EXPECT_TRUE(std::isnan(ExpectedMaxShare(decisions, 1, 2, 0, 7)));
}

TEST(Indentation, CountsATinyCaseByHand) {
  // One unit: five tokens, of which rows 0, 1, 3, 4 are indentation; row 4 was dropped.
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "code", "unit");
  builder.BeginSequence();
  for (int32_t position = 0; position < 5; ++position) {
    builder.AddRow(position < 2 ? 10 : 11, position, false);
  }
  PlantedRoutes planted = {builder.Finish(), {}};
  planted.layer.n_experts = 3;
  planted.layer.experts_per_token = 2;
  planted.layer.experts = {2, 0, 2, 1, 1, 2, 0, 2, -1, -1};
  const auto cells = Compute(planted, {1, 1, 0, 1, 1});
  ASSERT_EQ(cells.size(), 1u);
  EXPECT_EQ(cells[0].tokens, 3);
  EXPECT_EQ(cells[0].top_expert, 2);
  EXPECT_DOUBLE_EQ(cells[0].top_share, 2.0 / 3);
  EXPECT_DOUBLE_EQ(cells[0].largest_token_share, 2.0 / 3);
  EXPECT_FALSE(cells[0].is_split);
  EXPECT_EQ(cells[0].expert, 2);
  EXPECT_DOUBLE_EQ(cells[0].share, 2.0 / 3);
  EXPECT_DOUBLE_EQ(cells[0].marginal_share, 2.0 / 4);
  EXPECT_EQ(cells[0].why_no_interval, "1 unit, fewer than 10");
  EXPECT_TRUE(Compute(planted, {0, 0, 0, 0, 0}).empty());
}

TEST(Indentation, FindsThePlantedExpertAndItsShareOnTheOtherHalf) {
  PlantedText text;
  text.n_documents = 400;
  text.rows_per_document = 250;
  auto planted = PlantRoutes(text, std::vector<double>(8, 0.125), 0);
  std::vector<uint8_t> is_indentation(planted.rows.n_rows());
  Random random(4);
  for (int64_t row = 0; row < planted.rows.n_rows(); ++row) {
    is_indentation[row] = planted.rows.token_id[row] < 10;
    if (is_indentation[row] == 0 || random.Uniform() >= 0.6) continue;
    planted.layer.experts[row * 2] = 5;
    planted.layer.experts[row * 2 + 1] = 6;
  }
  const IndentationCell cell = Compute(planted, is_indentation)[0];
  EXPECT_EQ(cell.expert, 5);
  EXPECT_EQ(cell.n_units, 200);
  const double share = 0.6 + 0.4 * 0.125;
  const double error = std::sqrt(share * (1 - share) / static_cast<double>(cell.measured_tokens));
  EXPECT_NEAR(cell.share, share, 4 * error);
  EXPECT_LT(cell.interval->low, share + 2 * error);
  EXPECT_GT(cell.interval->high, share - 2 * error);
  EXPECT_NEAR(cell.marginal_share, 0.2 * share + 0.8 * 0.125, 0.01);
  EXPECT_NEAR(cell.iid_share, 0.2 * share + 0.8 * 0.125, 0.01);
  EXPECT_NEAR(cell.largest_token_share, 0.1, 0.01);
}

TEST(Indentation, DoesNotFindAnExpertWhereRoutesAreIndependent) {
  PlantedText text;
  text.n_documents = 40;
  text.rows_per_document = 50;
  const auto planted = PlantRoutes(text, std::vector<double>(8, 0.125), 0);
  std::vector<uint8_t> is_indentation(planted.rows.n_rows());
  for (size_t row = 0; row < is_indentation.size(); row += 20) is_indentation[row] = 1;
  const IndentationCell cell = Compute(planted, is_indentation)[0];
  ASSERT_EQ(cell.tokens, 100);
  // The busiest of eight looks special beside an even split, not beside the null.
  EXPECT_GT(cell.iid_share, 0.17);
  EXPECT_NEAR(cell.top_share, cell.iid_share, 4 * 0.025);
  const double error = std::sqrt(0.125 * 0.875 / static_cast<double>(cell.measured_tokens));
  EXPECT_NEAR(cell.share, 0.125, 4 * error);
}

TEST(UnitHalves, ADataSetOfOneUnitChoosesAndMeasuresAlike) {
  RowColumnsBuilder builder;
  for (int d = 0; d < 5; ++d) {
    builder.BeginDocument(d, d == 0 ? "single" : "many", "unit " + std::to_string(d));
    builder.BeginSequence();
    builder.AddRow(1, 0, false);
  }
  const RowColumns rows = builder.Finish();
  const Halves halves = SplitInHalves(rows, 1);
  const DatasetHalves single = HalvesOf(halves, rows.datasets[0]);
  EXPECT_FALSE(single.is_split);
  EXPECT_TRUE(single.Searches(0) && single.Measures(0));
  EXPECT_EQ(HalvesOf(halves, rows.datasets[1]).MeasuredUnits(rows.datasets[1]).size(), 2u);
}

}  // namespace
}  // namespace moescope::study
