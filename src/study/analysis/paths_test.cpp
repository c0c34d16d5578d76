#include "study/analysis/paths.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

using FirstChoices = std::vector<std::vector<int16_t>>;

RowColumns OneDocument(int64_t n_rows) {
  PlantedText text;
  text.n_documents = 1;
  text.rows_per_document = n_rows;
  text.bos = false;
  return MakePlantedText(text);
}

const PathShare& PathOf(const Paths& paths, const std::vector<int16_t>& experts) {
  for (const PathShare& path : paths.paths) {
    if (path.experts == experts) return path;
  }
  throw std::runtime_error("no such path");
}

TEST(Paths, CountsByHand) {
  ThreadPool pool(2);
  const RowColumns rows = OneDocument(6);
  const FirstChoices first = {{0, 0, 1, 0, 1, 1}, {0, 0, 1, 1, -1, 0}};
  PathsOptions options;
  options.min_count = 1;
  const Paths paths = ComputePathsOf(rows, {}, {2, 5}, first, 4, options, pool);
  EXPECT_EQ(paths.rows, 5);  // one row has a dropped choice
  EXPECT_EQ(paths.distinct, 4);
  EXPECT_EQ(paths.possible, 16);
  const PathShare& path = PathOf(paths, {0, 0});
  EXPECT_EQ(path.count, 2);
  EXPECT_DOUBLE_EQ(path.share, 0.4);
  EXPECT_DOUBLE_EQ(path.independent, 0.6 * 0.6);
  EXPECT_DOUBLE_EQ(path.markov, 0.4);  // two layers: pairs are all there is
  EXPECT_EQ(path.rank_by_count, 1);
  EXPECT_EQ(PathOf(paths, {1, 1}).rank_by_lift, 1);  // 0.2 / (0.4 x 0.4)
  // 2 of 5 and three times 1 of 5; each layer 3 to 2.
  EXPECT_NEAR(paths.entropy, 0.4 * std::log2(2.5) + 0.6 * std::log2(5.0), 1e-12);
  EXPECT_NEAR(paths.sum_of_entropies, 2 * (0.6 * std::log2(5.0 / 3) + 0.4 * std::log2(2.5)), 1e-12);
  EXPECT_NEAR(paths.markov_entropy, paths.entropy, 1e-12);
  ASSERT_EQ(paths.links.size(), 4u);
  EXPECT_EQ(paths.links[0].layer, 2);
  EXPECT_EQ(paths.links[0].next_layer, 5);
  EXPECT_EQ(paths.links[0].count, 2);
  EXPECT_EQ(paths.why_no_interval, "1 unit, fewer than 10");
}

TEST(Paths, KeepsToTheRowsAskedFor) {
  ThreadPool pool(1);
  const RowColumns rows = OneDocument(6);
  PathRows of;
  of.all = false;
  of.of = {1, 4};
  const Paths paths = ComputePathsOf(rows, of, {0, 1}, {{2, 3}, {1, 1}}, 4, {}, pool);
  EXPECT_EQ(paths.rows, 2);
  EXPECT_EQ(PathOf(paths, {2, 1}).count, 1);
}

// Sticky along the text but independent between layers: the shifts keep the one and not the other.
FirstChoices PlantedLayers(int64_t n, double follow, uint64_t seed) {
  Random random(seed);
  FirstChoices first(3, std::vector<int16_t>(n));
  for (size_t l = 0; l < first.size(); ++l) {
    for (int64_t row = 0; row < n; ++row) {
      int16_t& expert = first[l][row];
      expert = static_cast<int16_t>(random.Below(8));
      if (row > 0 && random.Uniform() < 0.5) expert = first[l][row - 1];
      if (l > 0 && random.Uniform() < follow) expert = first[l - 1][row];
    }
  }
  return first;
}

TEST(Paths, IndependentLayersAreNotFoundDependent) {
  ThreadPool pool(2);
  const RowColumns rows = OneDocument(50000);
  int rejected = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Paths paths =
        ComputePathsOf(rows, {}, {0, 1, 2}, PlantedLayers(50000, 0, seed), 8, {}, pool);
    rejected += paths.p <= 0.05;
    EXPECT_NEAR(PathOf(paths, paths.paths[0].experts).lift(), 1, 0.7);
  }
  EXPECT_LE(rejected, 4);  // 5 or more of 20 at 5 %: less than 1 in 300
}

TEST(Paths, DependentLayersAreFound) {
  ThreadPool pool(2);
  const RowColumns rows = OneDocument(50000);
  const Paths paths =
      ComputePathsOf(rows, {}, {0, 1, 2}, PlantedLayers(50000, 0.1, 3), 8, {}, pool);
  EXPECT_DOUBLE_EQ(paths.p, 0.01);
  EXPECT_GT(paths.dependence, 3 * paths.null_high);
  EXPECT_EQ(paths.distinct, 512);
  // Each layer follows only the one before: first order is all there is, up to the bias of 512
  // cells against 8 + 2 x 56 (400 / (2 N ln 2) = 0.006 bits).
  EXPECT_NEAR(paths.markov_entropy, paths.entropy, 0.02);
  EXPECT_GT(paths.sum_of_entropies, paths.markov_entropy + 0.02);
}

TEST(Paths, HashedCountsOfTheNullAgreeWithTheTable) {
  ThreadPool pool(2);
  const RowColumns rows = OneDocument(3000);
  const FirstChoices first = PlantedLayers(3000, 0.3, 5);
  // 128 to the third is more cells than the table has; no path differs for it.
  const Paths table = ComputePathsOf(rows, {}, {0, 1, 2}, first, 8, {}, pool);
  const Paths hashed = ComputePathsOf(rows, {}, {0, 1, 2}, first, 128, {}, pool);
  EXPECT_NEAR(table.null_mean, hashed.null_mean, 1e-9);
  EXPECT_EQ(table.p, hashed.p);
}

TEST(Paths, RefusesTooFewOrTooManyLayers) {
  ThreadPool pool(1);
  const RowColumns rows = OneDocument(1);
  EXPECT_THROW(ComputePathsOf(rows, {}, {0}, {{0}}, 8, {}, pool), Error);
  EXPECT_THROW(ComputePathsOf(rows, {}, {0, 1, 2, 3, 4, 5, 6}, FirstChoices(7, {0}), 8, {}, pool),
               Error);
}

TEST(Paths, OfNoRowsAreNone) {
  ThreadPool pool(1);
  PathRows of;
  of.all = false;
  const Paths paths = ComputePathsOf(OneDocument(3), of, {0, 1}, {{}, {}}, 8, {}, pool);
  EXPECT_EQ(paths.rows, 0);
  EXPECT_EQ(paths.distinct, 0);
  EXPECT_TRUE(paths.paths.empty());
}

}  // namespace
}  // namespace moescope::study
