#include "study/figures/ablation_drawing.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moescope::study {
namespace {

using routing::Intervention;

// Thirty experts in one layer, removed one by one; expert e costs (e + 1) / 100 in text a, and the
// same with the other sign in text b, which has half the predictions.
class AblationDrawingTest : public testing::Test {
 protected:
  void SetUp() override {
    model_.n_layers = 1;
    model_.router.n_experts = kExperts;
    model_.router.experts_per_token = 2;
    for (int expert = 0; expert < kExperts; ++expert) {
      interventions_.push_back(
          routing::ParseIntervention("mask@0:" + std::to_string(expert), model_, ""));
      const double cost = (expert + 1) / 100.0;
      Add(expert, "", cost / 3, true);
      Add(expert, "a", cost, true);
      Add(expert, "b", -cost, false);
    }
  }

  void Add(int branch, const std::string& dataset, double effect, bool with_interval) {
    AblationRow row;
    row.branch = branch;
    row.dataset = dataset;
    row.baseline_loss = 2;
    row.loss = 2 + effect;
    row.effect = effect;
    if (with_interval) row.interval = Interval{effect - 0.001, effect + 0.001};
    rows_.push_back(row);
  }

  static std::string Text(const Cell& cell) { return std::get<std::string>(cell); }

  static constexpr int kExperts = 30;
  routing::RoutedModel model_;
  std::vector<Intervention> interventions_;
  std::vector<AblationRow> rows_;
};

TEST_F(AblationDrawingTest, ListsTheLargestEffectsOfEachDatasetLargestFirst) {
  const FigureTable drawing = AblationDrawing(rows_, interventions_, model_);
  ASSERT_EQ(drawing.rows.size(), rows_.size());
  EXPECT_EQ(Text(drawing.rows[0][4]), kAllTogether);
  ASSERT_EQ(drawing.more.size(), 2u);
  const NamedRows& largest = drawing.more[0];
  ASSERT_EQ(largest.rows.size(), 3 * kMostDrawn);
  EXPECT_EQ(Text(largest.rows[0][1]), kAllTogether);
  EXPECT_EQ(Text(largest.rows[0][2]), "expert 29, layer 0");
  EXPECT_EQ(Text(largest.rows[kMostDrawn - 1][2]), "expert 6, layer 0");
  // A loss that falls much is as large an effect as one that rises.
  EXPECT_EQ(Text(largest.rows[2 * kMostDrawn][1]), "b");
  EXPECT_EQ(std::get<double>(largest.rows[2 * kMostDrawn][5]), -0.3);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(largest.rows[2 * kMostDrawn][6]));
}

TEST_F(AblationDrawingTest, PutsTheSameInterventionsSideBySideForEachDataset) {
  const NamedRows by_dataset = AblationDrawing(rows_, interventions_, model_).more[1];
  ASSERT_EQ(by_dataset.rows.size(), 2 * kMostDrawn);
  EXPECT_EQ(Text(by_dataset.rows[0][1]), "a");
  EXPECT_EQ(Text(by_dataset.rows[1][1]), "b");
  EXPECT_EQ(Text(by_dataset.rows[0].back()), Text(by_dataset.rows[1].back()));

  // One data set is not compared with itself.
  std::vector<AblationRow> of_one;
  for (const AblationRow& row : rows_) {
    if (row.dataset != "b") of_one.push_back(row);
  }
  EXPECT_TRUE(AblationDrawing(of_one, interventions_, model_).more[1].rows.empty());
}

TEST_F(AblationDrawingTest, ScalesColoursSymmetricallyAlsoWhereNothingChanges) {
  const auto scale = [&] {
    const FigureTable drawing = AblationDrawing(rows_, interventions_, model_);
    return std::pair(std::get<double>(drawing.about[0].second),
                     std::get<double>(drawing.about[1].second));
  };
  EXPECT_EQ(scale(), std::pair(-0.3, 0.3));
  for (AblationRow& row : rows_) row.effect = 0;
  EXPECT_EQ(scale(), std::pair(-1.0, 1.0));
}

TEST_F(AblationDrawingTest, SaysWhatCostsMost) {
  const std::vector<std::string> sentences = AblationSentences(rows_, interventions_, model_);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_EQ(sentences[0],
            "Under mask, expert 29, layer 0 has the largest effect: the loss goes from 2.0000 to "
            "2.1000 nats a token, by 0.1000 [0.0990, 0.1010]. Next is expert 28, layer 0 with "
            "0.0967 [0.0957, 0.0977]; the median of the 30 is 0.0500.");
}

}  // namespace
}  // namespace moescope::study
