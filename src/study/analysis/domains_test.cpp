#include "study/analysis/domains.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "study/analysis/planted_domains.h"

namespace moescope::study {
namespace {

double Distance(std::vector<double> p, std::vector<double> q) {
  return JensenShannonDistance(p, q);
}

TEST(JensenShannonDistance, IsTheRootOfTheDivergenceInBits) {
  EXPECT_EQ(Distance({1, 0}, {0, 1}), 1);
  EXPECT_EQ(Distance({0.3, 0.7}, {0.3, 0.7}), 0);
  // The mean is even, 1 bit; each has entropy 0.75 log2(4/3) + 0.5 = 0.811278124.
  EXPECT_NEAR(Distance({0.75, 0.25}, {0.25, 0.75}), std::sqrt(1 - 0.8112781244591328), 1e-12);
  EXPECT_NEAR(Distance({1, 0}, {0.5, 0.5}), std::sqrt(0.8112781244591328 - 0.5), 1e-12);
  EXPECT_TRUE(std::isnan(Distance({std::nan(""), 0}, {0, 1})));
}

// One row a unit: the shares of a data set are counted on fingers.
PlantedRoutes OneRowUnits(const std::vector<std::pair<std::string, int>>& rows) {
  PlantedRoutes planted;
  RowColumnsBuilder builder;
  planted.layer.n_experts = 2;
  planted.layer.experts_per_token = 1;
  int64_t document = 0;
  for (const auto& [dataset, expert] : rows) {
    builder.BeginDocument(document, dataset, "unit " + std::to_string(document));
    ++document;
    builder.BeginSequence();
    builder.AddRow(0, 0, false);
    planted.layer.experts.push_back(static_cast<int16_t>(expert));
  }
  planted.rows = builder.Finish();
  return planted;
}

TEST(Domains, CompareWithTheOthersEquallyWeighted) {
  // a: (1, 0) of two rows; b: (1, 0) of one row; c: (0, 1) of three rows. The rest of a is the mean
  // of b and c, (0.5, 0.5), though c has three times the rows.
  const auto planted = OneRowUnits({{"a", 0}, {"a", 0}, {"b", 0}, {"c", 1}, {"c", 1}, {"c", 1}});
  ThreadPool pool(1);
  const Domains domains = ComputeDomains(planted.rows, planted.layer, {}, pool);
  ASSERT_EQ(domains.distances.size(), 6u);  // three against the rest, three pairs
  EXPECT_EQ(domains.distances[0].other, "");
  EXPECT_NEAR(domains.distances[0].distance, std::sqrt(0.8112781244591328 - 0.5), 1e-12);
  EXPECT_NEAR(domains.distances[1].distance, domains.distances[0].distance, 1e-12);
  EXPECT_EQ(domains.distances[2].distance, 1);  // c against (1, 0)
  EXPECT_TRUE(domains.distances[2].most_different);
  EXPECT_EQ(domains.distances[3].distance, 0);  // a, b
  EXPECT_EQ(domains.distances[4].distance, 1);  // a, c
  EXPECT_EQ(domains.distances[5].other, "c");
  EXPECT_EQ(domains.distances[1].why_no_p, "1 unit, fewer than 2");
  EXPECT_TRUE(std::isnan(domains.distances[1].split_half));
  EXPECT_EQ(domains.distances[2].split_half, 0);
  EXPECT_EQ(domains.distances[2].why_no_interval, "3 units, fewer than 10");
}

// Six units of two data sets of three, 20 arrangements, all tried. Observed: (1, 0) against (0, 1),
// distance 1, reached by the mirror image only: p = 2 / 20 for either and for both together.
TEST(Domains, PermutationsAreExactForFewUnits) {
  const auto planted = OneRowUnits({{"a", 0}, {"a", 0}, {"a", 0}, {"b", 1}, {"b", 1}, {"b", 1}});
  ThreadPool pool(1);
  const Domains domains = ComputeDomains(planted.rows, planted.layer, {}, pool);
  EXPECT_TRUE(domains.is_exact);
  EXPECT_EQ(domains.n_permutations, 19);
  EXPECT_DOUBLE_EQ(domains.distances[0].p, 0.1);
  EXPECT_DOUBLE_EQ(domains.distances[0].p_max, 0.1);
  // 18 of the 19 others have shares (2/3, 1/3) and (1/3, 2/3).
  const double other = Distance({2.0 / 3, 1.0 / 3}, {1.0 / 3, 2.0 / 3});
  EXPECT_NEAR(domains.distances[0].null_mean, (18 * other + 1) / 19, 1e-12);
  EXPECT_NEAR(domains.distances[2].null_mean, (18 * other + 1) / 19, 1e-12);
}

TEST(Domains, NamesTheDataSetThatDiffersAndNoOther) {
  PlantedDomains plan;
  plan.datasets = {"books", "mathematics", "news"};
  plan.n_units = 15;
  plan.shares = [](int dataset, int, int32_t) {
    return dataset == 1 ? std::vector<double>{0.4, 0.2, 0.2, 0.2}
                        : std::vector<double>{0.25, 0.25, 0.25, 0.25};
  };
  const auto planted = PlantDomains(plan);
  ThreadPool pool(2);
  DomainsOptions options;
  options.n_permutations = 999;
  const Domains domains = ComputeDomains(planted.rows, planted.layer, options, pool);
  EXPECT_TRUE(domains.distances[1].most_different);
  EXPECT_LE(domains.distances[1].p_max, 0.01);
  // Of assignments: expert 0 has (0.4 + 0.6 / 3) / 2 = 0.3 of them, the others 0.7 / 3.
  const double expected = Distance({0.3, 0.7 / 3, 0.7 / 3, 0.7 / 3}, {0.25, 0.25, 0.25, 0.25});
  const Interval interval = domains.distances[1].interval.value();
  EXPECT_LT(interval.low, expected);
  EXPECT_GT(interval.high, expected);
  EXPECT_LT(domains.distances[1].split_half, expected / 2);
  // Books and news have the same law, whose distance is that of noise: below the 95 % point.
  const DomainDistance& same = domains.distances[4];
  EXPECT_EQ(same.dataset + same.other, "booksnews");
  EXPECT_LT(same.distance, same.null_95);
}

// Units that differ much, data sets that do not: rows pooled would seem to differ.
TEST(Domains, UnitsThatDifferAreNotDataSetsThatDiffer) {
  int found = 0;
  for (int repeat = 0; repeat < 40; ++repeat) {
    PlantedDomains plan;
    plan.datasets = {"a", "b", "c"};
    plan.n_units = 12;
    plan.rows_per_unit = 100;
    plan.seed = 100 + repeat;
    plan.shares = [&](int, int unit, int32_t) {
      Random effect(Combine(plan.seed, unit));
      const double share = 0.1 + 0.5 * effect.Uniform();
      const double other = (1 - share) / 3;
      return std::vector<double>{share, other, other, other};
    };
    const auto planted = PlantDomains(plan);
    ThreadPool pool(1);
    DomainsOptions options;
    options.n_permutations = 199;
    options.bootstrap.n_samples = 0;
    const Domains domains = ComputeDomains(planted.rows, planted.layer, options, pool);
    double smallest = 1;
    for (int d = 0; d < 3; ++d) smallest = std::min(smallest, domains.distances[d].p_max);
    found += smallest <= 0.05;
  }
  EXPECT_LE(found, 6);  // 2 expected; more than 6 of 40 has probability 0.003
}

TEST(Domains, AreTheSameForAnyNumberOfThreads) {
  PlantedDomains plan;
  plan.shares = [](int dataset, int, int32_t) {
    return std::vector<double>{0.3 + 0.01 * dataset, 0.3, 0.2, 0.2 - 0.01 * dataset};
  };
  const auto planted = PlantDomains(plan);
  ThreadPool one(1), three(3);
  DomainsOptions options;
  options.n_permutations = 500;
  const Domains a = ComputeDomains(planted.rows, planted.layer, options, one);
  const Domains b = ComputeDomains(planted.rows, planted.layer, options, three);
  for (size_t i = 0; i < a.distances.size(); ++i) {
    EXPECT_EQ(a.distances[i].null_mean, b.distances[i].null_mean);
    EXPECT_EQ(a.distances[i].null_95, b.distances[i].null_95);
    EXPECT_EQ(a.distances[i].interval->low, b.distances[i].interval->low);
  }
  EXPECT_EQ(a.distances[0].p_max, b.distances[0].p_max);
}

TEST(Domains, RefuseASingleDataSet) {
  const auto planted = PlantRoutes({}, {0.5, 0.5}, 0);
  ThreadPool pool(1);
  EXPECT_THROW(ComputeDomains(planted.rows, planted.layer, {}, pool), Error);
}

}  // namespace
}  // namespace moescope::study
