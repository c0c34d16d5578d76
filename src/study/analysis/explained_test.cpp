#include "study/analysis/explained.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "study/analysis/log_linear_pool.h"
#include "study/analysis/planted_domains.h"

namespace moescope::study {
namespace {

using Shares = std::vector<double>;

std::map<std::string, ExplainedShare> Explain(const PlantedRoutes& planted, int n_threads = 2) {
  ThreadPool pool(n_threads);
  BootstrapOptions options;
  options.n_samples = 500;
  std::map<std::string, ExplainedShare> by_name;
  for (const ExplainedShare& share : ComputeExplained(planted.rows, MakePredictors(planted.rows, 1),
                                                      planted.layer, options, pool)) {
    by_name[share.predictor] = share;
  }
  return by_name;
}

double Entropy(const Shares& shares) {
  double sum = 0;
  for (double share : shares) sum -= share > 0 ? share * std::log2(share) : 0;
  return sum;
}

// Rows of two experts with one lift (l, 0): the pool is a logistic curve of l x weight, whose best
// weight for a share s of first experts is logit(s) / l.
TEST(LogLinearPool, FitsTheWeightOfALogisticCurve) {
  const float log_base[] = {std::log(0.5f), std::log(0.5f)}, lift[] = {2, 0};
  std::vector<PooledRow> rows;
  for (int i = 0; i < 40000; ++i) {
    PooledRow& row = rows.emplace_back();
    row.log_base = log_base;
    row.lifts[0] = lift;
    row.expert = i % 4 == 0 ? 1 : 0;
  }
  LiftPool pool = {{0}, {}};
  FitWeights(rows, 2, pool);
  EXPECT_NEAR(pool.weights[0], std::log(3.0) / 2, 1e-4);  // a square of weight 1 on 40,000 rows
  std::vector<float> odds(2);
  EXPECT_NEAR(PooledLoss(pool, rows[0], odds), -std::log(0.25), 1e-4);
  EXPECT_NEAR(odds[0], 1, 1e-6);
  EXPECT_NEAR(odds[1], 1.0 / 3, 1e-4);
}

TEST(LogLinearPool, SharesTheWeightOfTheSameLiftGivenTwice) {
  const float log_base[] = {std::log(0.5f), std::log(0.5f)}, lift[] = {1, 0}, none[] = {0, 0};
  std::vector<PooledRow> rows(1000);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {log_base, {lift, lift, none}, i % 4 == 0 ? 1 : 0};
  }
  LiftPool pool = {{0, 1, 2}, {}};
  FitWeights(rows, 2, pool);
  EXPECT_NEAR(pool.weights[0], pool.weights[1], 1e-6);
  EXPECT_NEAR(pool.weights[0] + pool.weights[1], std::log(3.0), 0.01);
  EXPECT_NEAR(pool.weights[2], 0, 1e-9);
}

TEST(Predictors, AreWhatTheyAreNamedFor) {
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "a", "u");
  builder.BeginSequence();
  builder.AddRow(1, 0, true);
  for (int i = 1; i <= 4; ++i) builder.AddRow(i == 3 ? 70 : 50, i, false);
  builder.BeginDocument(1, "b", "v");
  builder.BeginSequence();
  builder.AddRow(70, 0, false);
  const RowColumns rows = builder.Finish();
  const auto predictors = MakePredictors(rows, 1);
  ASSERT_EQ(predictors.size(), 4u);
  EXPECT_EQ(predictors[0].value, (std::vector<int32_t>{0, 0, 1, 0, 1}));
  EXPECT_EQ(predictors[1].value, (std::vector<int32_t>{2, 0, 0, 1, 2}));
  EXPECT_EQ(predictors[2].value, (std::vector<int32_t>{1, 1, 2, 2, 0}));  // 1-2, 3-6, 0
  EXPECT_EQ(predictors[3].value, (std::vector<int32_t>{0, 0, 0, 0, 1}));
  for (const Predictor& predictor : predictors) {
    EXPECT_EQ(predictor.permuted.size(), 5u);
    for (int32_t value : predictor.value) EXPECT_LT(value, predictor.n_values);
  }
}

// A router that reads token ids only, in corpora that use different tokens: the data set says
// something alone, and nothing beyond the token.
TEST(Explained, TokensExplainARouterThatReadsThemAndDomainsAddNothing) {
  PlantedDomains plan;
  plan.n_units = 40;
  plan.token = [](int dataset, Random& random) {
    const auto half = static_cast<int32_t>(random.Below(10));
    return random.Uniform() < (dataset == 0 ? 0.8 : 0.2) ? half : 10 + half;
  };
  plan.shares = [](int, int, int32_t token) {
    return token < 10 ? Shares{0.7, 0.1, 0.1, 0.1} : Shares{0.1, 0.7, 0.1, 0.1};
  };
  auto shares = Explain(PlantDomains(plan));
  const double all = Entropy({0.4, 0.4, 0.1, 0.1});
  const double by_token = 1 - Entropy({0.7, 0.1, 0.1, 0.1}) / all;
  // In the first corpus expert 0 has 0.8 0.7 + 0.2 0.1 = 0.58, expert 1 0.22.
  const double by_domain = 1 - Entropy({0.58, 0.22, 0.1, 0.1}) / all;
  // 24,000 rows: the losses have a standard deviation below 1.2 bits, so about 0.005 of the share.
  EXPECT_NEAR(shares["token"].bits, all, 0.02);
  EXPECT_NEAR(shares["token"].first, by_token, 0.015);
  EXPECT_NEAR(shares["domain"].first, by_domain, 0.015);
  EXPECT_NEAR(shares["domain"].last, 0, 0.002);
  EXPECT_NEAR(shares["token"].last, by_token - by_domain, 0.015);
  EXPECT_NEAR(shares["all"].first, by_token, 0.015);
  for (const char* name : {"position", "previous token"}) EXPECT_NEAR(shares[name].last, 0, 0.003);
  for (const char* name : {"token", "previous token", "position", "domain"}) {
    EXPECT_NEAR(shares[name].first_null, 0, 0.003) << name;
    EXPECT_NEAR(shares[name].last_null, 0, 0.003) << name;
  }
  EXPECT_LT(shares["token"].first_interval->low, by_token);
  EXPECT_GT(shares["token"].first_interval->high, by_token);
}

// The other way round: identical tokens, a router that reads the domain.
TEST(Explained, DomainsExplainARouterThatReadsThemAndTokensNothing) {
  PlantedDomains plan;
  plan.n_units = 40;
  plan.shares = [](int dataset, int, int32_t) {
    return dataset == 0 ? Shares{0.6, 0.2, 0.1, 0.1} : Shares{0.2, 0.6, 0.1, 0.1};
  };
  auto shares = Explain(PlantDomains(plan));
  const double truth = 1 - Entropy({0.6, 0.2, 0.1, 0.1}) / Entropy({0.4, 0.4, 0.1, 0.1});
  EXPECT_NEAR(shares["domain"].first, truth, 0.012);
  EXPECT_NEAR(shares["domain"].last, truth, 0.012);
  EXPECT_NEAR(shares["token"].first, 0, 0.002);
  EXPECT_NEAR(shares["token"].last, 0, 0.002);
  EXPECT_NEAR(shares["domain"].last_null, 0, 0.003);
}

// Two independent causes: exact for a pool of lifts, so what each explains last is known.
TEST(Explained, PreviousTokensCountBesideTokens) {
  PlantedDomains plan;
  plan.datasets = {"one"};
  plan.n_units = 80;
  plan.shares = [previous = int32_t{0}](int, int, int32_t token) mutable {
    const bool raised = previous < 10;
    previous = token;
    const double first = (token < 10 ? 4 : 1) * (raised ? 3.0 : 1.0);
    return Shares{first / (first + 2), 2 / (first + 2)};
  };
  plan.n_experts = 2;
  auto shares = Explain(PlantDomains(plan));
  double mean = 0, conditional = 0, by_token = 0;
  for (double token : {4.0, 1.0}) {
    double of_token = 0;
    for (double previous : {3.0, 1.0}) {
      const double share = token * previous / (token * previous + 2);
      mean += share / 4;
      of_token += share / 2;
      conditional += Entropy({share, 1 - share}) / 4;
    }
    by_token += Entropy({of_token, 1 - of_token}) / 2;
  }
  const double base = Entropy({mean, 1 - mean});
  EXPECT_EQ(shares.count("domain"), 0u);
  EXPECT_NEAR(shares["token"].first, 1 - by_token / base, 0.015);
  EXPECT_NEAR(shares["previous token"].last, (by_token - conditional) / base, 0.015);
  EXPECT_NEAR(shares["all"].first, 1 - conditional / base, 0.015);
}

// Units differ and the data sets do not: a table of domains learns its units' quirks, and held-out
// units do not share them.
TEST(Explained, UnitsThatDifferAreNotDomains) {
  PlantedDomains plan;
  plan.datasets = {"a", "b", "c"};
  plan.n_units = 24;
  plan.shares = [](int, int unit, int32_t) {
    const double share = 0.2 + 0.4 * Random(Combine(5, unit)).Uniform();
    return Shares{share, (1 - share) / 3, (1 - share) / 3, (1 - share) / 3};
  };
  auto shares = Explain(PlantDomains(plan));
  EXPECT_LT(shares["domain"].first, 0.003);
  EXPECT_LT(shares["domain"].last, 0.003);
}

TEST(Explained, NothingExplainsIndependentRoutes) {
  for (const Shares& planted : {Shares{0.25, 0.25, 0.25, 0.25}, Shares{0.6, 0.2, 0.15, 0.05}}) {
    PlantedDomains plan;
    plan.n_units = 30;
    plan.shares = [&](int, int, int32_t) { return planted; };
    for (const auto& [name, share] : Explain(PlantDomains(plan))) {
      EXPECT_NEAR(share.first, 0, 0.002) << name;
      EXPECT_NEAR(share.last, 0, 0.002) << name;
      EXPECT_NEAR(share.bits, Entropy(planted), 0.02);
    }
  }
}

TEST(Explained, IsTheSameForAnyNumberOfThreads) {
  PlantedDomains plan;
  plan.shares = [](int dataset, int, int32_t token) {
    return dataset == 0 && token < 5 ? Shares{0.6, 0.2, 0.1, 0.1} : Shares{0.2, 0.6, 0.1, 0.1};
  };
  const auto planted = PlantDomains(plan);
  auto a = Explain(planted, 1), b = Explain(planted, 3);
  for (const auto& [name, share] : a) {
    EXPECT_EQ(share.first, b[name].first);
    EXPECT_EQ(share.last, b[name].last);
    EXPECT_EQ(share.last_interval->low, b[name].last_interval->low);
  }
}

TEST(Explained, SayWhyWithoutUnitsToHoldOut) {
  PlantedText text;
  text.n_documents = 3;
  auto shares = Explain(PlantRoutes(text, {0.5, 0.5}, 0));
  EXPECT_EQ(shares["token"].why_no_value, "3 units, fewer than 4: none can be held out");
  EXPECT_TRUE(std::isnan(shares["all"].first));
}

}  // namespace
}  // namespace moescope::study
