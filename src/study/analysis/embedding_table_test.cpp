#include "study/analysis/embedding_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "study/figures/embeddings_figure.h"

namespace moescope::study {
namespace {

constexpr EmbeddingColumns kColumns{.n_layers = 2};
using Kind = EmbeddingColumns::Kind;

// Units whose tokens have correlation `input` (plus up to `spread` by unit) with their own
// embedding at layer 1 after the experts, half of it with the null's, and -0.5 with the next one.
EmbeddingDataset Dataset(const std::string& name, int n_units, double input, double spread = 0) {
  EmbeddingDataset dataset;
  dataset.name = name;
  dataset.n_units = n_units;
  Random random(KeyOfName(name));
  for (int unit = 0; unit < n_units; ++unit) {
    std::vector<double> sums(static_cast<size_t>(kColumns.count()));
    const double n = 100 + 10 * (unit % 5), mean = input + spread * (random.Uniform() - 0.5);
    auto at = [&](Kind kind) -> double& {
      return sums[static_cast<size_t>(kColumns.Of(1, EmbeddingSite::kAfterMoe, kind))];
    };
    at(Kind::kInput) = n * mean;
    at(Kind::kInputNull) = n * mean / 2;
    at(Kind::kOutput) = -0.5 * (n - 1);
    sums[static_cast<size_t>(kColumns.n_tokens())] = n;
    sums[static_cast<size_t>(kColumns.n_pairs())] = n - 1;
    sums[static_cast<size_t>(kColumns.predicted())] = 0.75 * (n - 1);
    dataset.sums.insert(dataset.sums.end(), sums.begin(), sums.end());
  }
  return dataset;
}

std::vector<EmbeddingRow> Table(const std::vector<EmbeddingDataset>& datasets, int n_threads = 2) {
  ThreadPool pool(n_threads);
  return EmbeddingTable(datasets, 2, {.n_samples = 500}, pool);
}

TEST(EmbeddingTable, MeansAreOverTokensAndOverPairs) {
  const auto rows = Table({Dataset("a", 12, 0.5), Dataset("b", 12, 0.25), Dataset("c", 12, 0.75)});
  ASSERT_EQ(rows.size(), 12u);
  const EmbeddingRow& a = rows[9];
  EXPECT_EQ(a.dataset, "a");
  EXPECT_EQ(a.layer, 1);
  EXPECT_EQ(a.site, EmbeddingSite::kAfterMoe);
  EXPECT_EQ(a.n_tokens, 1410);
  EXPECT_EQ(a.n_pairs, 1410 - 12);
  EXPECT_NEAR(a.input.correlation, 0.5, 1e-12);
  EXPECT_NEAR(a.input.null, 0.25, 1e-12);
  EXPECT_NEAR(a.input.excess, 0.25, 1e-12);
  EXPECT_NEAR(a.input.interval->low, 0.5, 1e-12);
  EXPECT_NEAR(a.output.correlation, -0.5, 1e-12);
  EXPECT_NEAR(a.predicted, 0.75, 1e-12);
  // The rest is the mean of the other data sets.
  EXPECT_NEAR(a.input.against_rest, 0, 1e-12);
  EXPECT_NEAR(rows[10].input.against_rest, 0.25 - 0.625, 1e-12);
  EXPECT_NEAR(rows[11].input.against_rest_interval->high, 0.75 - 0.375, 1e-12);
  EXPECT_TRUE(std::isnan(rows[0].predicted));
  EXPECT_EQ(rows[0].input.correlation, 0);
}

TEST(EmbeddingTable, FewUnitsHaveNoIntervalAndOneDataSetNoRest) {
  const auto rows = Table({Dataset("few", 4, 0.5), Dataset("many", 12, 0.5)});
  EXPECT_FALSE(rows[6].input.interval);
  EXPECT_FALSE(rows[6].input.against_rest_interval);
  EXPECT_EQ(rows[6].why_no_interval, "4 units, fewer than 10");
  EXPECT_TRUE(rows[7].input.interval);
  EXPECT_FALSE(rows[7].input.against_rest_interval);  // the rest has too few
  const auto alone = Table({Dataset("many", 12, 0.5)});
  EXPECT_TRUE(std::isnan(alone[3].input.against_rest));
  EXPECT_NE(EmbeddingsText(alone, false).find("many"), std::string::npos);
}

TEST(EmbeddingTable, IntervalsCoverTheTruthInNinetyFiveOfAHundredCorpora) {
  int covered = 0, contrasts = 0;
  const int n_corpora = 400;
  for (int corpus = 0; corpus < n_corpora; ++corpus) {
    const std::string seed = std::to_string(corpus);
    const auto rows = Table({Dataset("a" + seed, 40, 0.5, 0.2), Dataset("b" + seed, 40, 0.4, 0.2)});
    const EmbeddingEstimate& a = rows[6].input;
    covered += a.interval->low <= 0.5 && 0.5 <= a.interval->high;
    contrasts += a.against_rest_interval->low <= 0.1 && 0.1 <= a.against_rest_interval->high;
  }
  // Four standard errors of a share of 0.95 in 400 are 0.044.
  EXPECT_NEAR(covered / double{n_corpora}, 0.945, 0.044);
  EXPECT_NEAR(contrasts / double{n_corpora}, 0.945, 0.044);
}

TEST(EmbeddingTable, IsTheSameForAnyNumberOfThreads) {
  const std::vector<EmbeddingDataset> datasets = {Dataset("a", 20, 0.5, 0.2),
                                                  Dataset("b", 20, 0.4, 0.2)};
  const auto one = Table(datasets, 1), three = Table(datasets, 3);
  EXPECT_EQ(FigureCsv(EmbeddingsFigure(one)), FigureCsv(EmbeddingsFigure(three)));
}

}  // namespace
}  // namespace moescope::study
