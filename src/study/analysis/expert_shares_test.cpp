#include "study/analysis/expert_shares.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

// Two data sets of 1 and 2 rows among 3 experts.
PlantedRoutes TwoDatasets() {
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "a", "u");
  builder.BeginSequence();
  builder.AddRow(1, 0, true);
  builder.AddRow(5, 1, false);
  builder.BeginDocument(1, "b", "u");
  builder.BeginSequence();
  builder.AddRow(5, 0, false);
  builder.AddRow(6, 1, false);
  PlantedRoutes planted = {builder.Finish(), {}};
  planted.layer.n_experts = 3;
  planted.layer.experts_per_token = 2;
  planted.layer.experts = {0, 1, 2, 0, 2, 1};
  return planted;
}

const ExpertShare& Find(const std::vector<ExpertShare>& shares, const std::string& dataset,
                        int expert, int choice) {
  for (const ExpertShare& share : shares) {
    if (share.dataset == dataset && share.expert == expert && share.choice == choice) return share;
  }
  throw std::runtime_error("no such share");
}

TEST(ExpertShares, CountsATinyCaseByHandInBothConventions) {
  const auto planted = TwoDatasets();
  ThreadPool pool(1);
  SharesOptions options;
  options.by_choice = true;
  auto shares = ComputeExpertShares(planted.rows, planted.layer, options, pool);
  EXPECT_EQ(shares.size(), 2u * 3 * 3);
  EXPECT_DOUBLE_EQ(Find(shares, "a", 0, kEitherChoice).share, 0.5);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 2, kEitherChoice).share, 0.5);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 2, 0).share, 1);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 0, 1).share, 0.5);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 0, kEitherChoice).even_share, 1.0 / 3);
  EXPECT_EQ(Find(shares, "b", 0, 1).why_no_interval, "1 unit, fewer than 10");
  options.convention = ShareConvention::kTokens;
  shares = ComputeExpertShares(planted.rows, planted.layer, options, pool);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 2, kEitherChoice).share, 1);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 2, kEitherChoice).even_share, 2.0 / 3);
  EXPECT_DOUBLE_EQ(Find(shares, "b", 0, 1).even_share, 1.0 / 3);
}

TEST(ExpertShares, SumToOneAndLieInTheirIntervals) {
  PlantedText text;
  text.n_documents = 50;
  const std::vector<double> first = {0.4, 0.3, 0.2, 0.1};
  const auto planted = PlantRoutes(text, first, 0.2);
  ThreadPool pool(2);
  SharesOptions options;
  options.by_choice = true;
  std::vector<double> total(3);
  for (const ExpertShare& share : ComputeExpertShares(planted.rows, planted.layer, options, pool)) {
    total[share.choice + 1] += share.share;
    EXPECT_LE(share.interval->low, share.share);
    EXPECT_GE(share.interval->high, share.share);
    if (share.choice != 0) continue;
    EXPECT_NEAR(share.share, first[share.expert], 0.05);
  }
  for (double sum : total) EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(ExpertShares, NamesChoices) {
  EXPECT_EQ(ChoiceName(kEitherChoice), "either");
  EXPECT_EQ(ChoiceName(0), "first");
  EXPECT_EQ(ChoiceName(5), "choice 6");
}

TEST(Layers, DefaultsAreThoseOfThePaper) {
  std::vector<int> all;
  for (int layer = 0; layer < 32; ++layer) all.push_back(layer);
  EXPECT_EQ(ParseLayers("", all), (std::vector<int>{0, 15, 31}));
  EXPECT_EQ(ParseLayers("all", all), all);
  EXPECT_EQ(ParseLayers("7,3,7", all), (std::vector<int>{3, 7}));
  EXPECT_EQ(ParseLayers("", {4}), (std::vector<int>{4}));
  for (const char* text : {"32", "-1", "x", "1,,2", "1;2", "99999999999"}) {
    EXPECT_THROW(ParseLayers(text, all), Error) << text;
  }
}

}  // namespace
}  // namespace moescope::study
