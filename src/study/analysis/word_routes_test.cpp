#include "study/analysis/word_routes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "store/test_directory.h"
#include "study/analysis/route_paths.h"
#include "study/analysis/tiny_run.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/unit_strata.h"

namespace moescope::study {
namespace {

class WordRoutesOfRun : public store::TestDirectory {};

// Two layers, 2 of 4 experts. "king" four times, once in two pieces.
TEST_F(WordRoutesOfRun, CountsSharesAndPathsOfTheLastPiece) {
  WriteTinyRun(Path("run"), 2, 4, 2,
               {{"a", "u", {{"<s>", {0, 1, 0, 1}}, {" king", {0, 1, 2, 3}}, {" x", {3, 2, 3, 2}}}},
                {"a", "v", {{" king", {0, 2, 2, 0}}, {" k", {3, 2, 3, 2}}, {"ing", {1, 0, 2, 3}}}},
                {"b", "w", {{" king", {0, 1, 2, 1}}, {"-1", {-1, 2, 3, 2}}}}});
  const store::Run run = store::Run::Open(Path("run"));
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  const auto vocabulary = LoadVocabularyBytes(*database);
  const WordIndex index(rows, vocabulary, -1);
  ThreadPool pool(2);
  const auto words =
      ComputeWordRoutes(run, *database, rows, vocabulary, {index.Find("king")}, {0, 1}, {}, pool);
  ASSERT_EQ(words.size(), 1u);
  const WordRoutes& king = words[0];
  EXPECT_EQ(king.occurrences, 4);
  EXPECT_EQ(king.documents, 3);
  EXPECT_EQ(king.n_units, 3);
  EXPECT_EQ(king.last_piece_text, " king");
  EXPECT_DOUBLE_EQ(king.last_piece_share, 0.75);
  ASSERT_EQ(king.shares.size(), 8u);
  const WordShare& first = king.shares[0];  // layer 0, expert 0: in all four, first in three
  EXPECT_EQ(first.count, 4);
  EXPECT_EQ(first.first_count, 3);
  EXPECT_DOUBLE_EQ(first.share, 0.5);
  // Of 7 plain rows with 13 choices, expert 0 has 4.
  EXPECT_DOUBLE_EQ(first.text_share, 4.0 / 13);
  EXPECT_EQ(king.distinct_paths, 2);
  ASSERT_EQ(king.paths.size(), 2u);
  EXPECT_EQ(king.paths[0].experts, (std::vector<int16_t>{0, 2}));
  EXPECT_EQ(king.paths[0].count, 3);
  EXPECT_DOUBLE_EQ(king.paths[0].share, 0.75);
  EXPECT_DOUBLE_EQ(king.paths[0].independent, 0.75);  // 3/4 of 0, then always 2
  EXPECT_EQ(king.why_no_interval, "3 units, fewer than 10");
}

TEST_F(WordRoutesOfRun, NamesDatasetsThereAre) {
  WriteTinyRun(Path("run"), 1, 4, 1, {{"a", "u", {{" x", {0}}}}, {"b", "u", {{" x", {0}}}}});
  const store::Run run = store::Run::Open(Path("run"));
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  EXPECT_EQ(FindDataset(rows, ""), -1);
  EXPECT_EQ(FindDataset(rows, "b"), 1);
  EXPECT_THROW(FindDataset(rows, "c"), Error);
}

TEST(UnitStrata, PoolsDatasetsOfASingleUnit) {
  RowColumnsBuilder builder;
  const char* const kText[][2] = {{"a", "1"}, {"b", "1"}, {"b", "2"}, {"c", "1"}, {"b", "3"}};
  for (const auto& [dataset, unit] : kText) builder.BeginDocument(0, dataset, unit);
  const RowColumns rows = builder.Finish();
  const UnitStrata all = StratifyUnits(rows, {1, 1, 1, 1, 1});
  EXPECT_EQ(all.strata, (std::vector<int64_t>{3, 2}));  // b; a and c
  EXPECT_EQ(all.place, (std::vector<int32_t>{3, 0, 1, 4, 2}));
  const UnitStrata some = StratifyUnits(rows, {0, 1, 0, 1, 0});
  EXPECT_EQ(some.strata, (std::vector<int64_t>{2}));
  EXPECT_EQ(some.place, (std::vector<int32_t>{-1, 0, -1, 1, -1}));
}

TEST(RoutePaths, NumbersPathsAndLeavesOutDroppedChoices) {
  const std::vector<std::vector<int16_t>> layers = {{3, 3, 0, 3}, {1, 2, -1, 1}, {0, 0, 0, 0}};
  RoutePaths paths(4);
  for (const auto& layer : layers) {
    paths.AddLayer([&](int64_t item) { return int{layer[item]}; });
  }
  EXPECT_EQ(paths.length(), 3);
  EXPECT_EQ(paths.n_paths(), 2);
  EXPECT_EQ(std::vector<int32_t>(paths.path_of_item().begin(), paths.path_of_item().end()),
            (std::vector<int32_t>{0, 1, -1, 0}));
  EXPECT_EQ(paths.Experts(1), (std::vector<int16_t>{3, 2, 0}));
  EXPECT_EQ(paths.Counts(), (std::vector<int64_t>{2, 1}));
}

// More (path, expert) cells than the table holds: the hashed way must give the same numbers.
TEST(RoutePaths, NumbersManyExpertsAlike) {
  RoutePaths paths(3000);
  for (int layer = 0; layer < 2; ++layer) {
    paths.AddLayer([](int64_t item) { return static_cast<int>(item % 3000); });
  }
  EXPECT_EQ(paths.n_paths(), 3000);
  for (int32_t item = 0; item < 3000; ++item) {
    ASSERT_EQ(paths.path_of_item()[item], item);
    ASSERT_EQ(paths.Experts(item)[1], item);
  }
}

}  // namespace
}  // namespace moescope::study
