#include "study/analysis/affinity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "study/analysis/odds_ratio.h"
#include "study/analysis/planted_domains.h"
#include "study/analysis/token_control.h"
#include "study/analysis/unit_counts.h"

namespace moescope::study {
namespace {

using Shares = std::vector<double>;

Affinity Analyse(const PlantedRoutes& planted, AffinityOptions options, int n_threads = 2) {
  ThreadPool pool(n_threads);
  AffinityAnalysis analysis(planted.rows, options, pool);
  analysis.AddLayer(planted.layer);
  return analysis.Finish();
}

AffinityOptions Quick() {
  AffinityOptions options;
  options.n_permutations = 999;
  options.bootstrap.n_samples = 500;
  return options;
}

double SmallestP(const Affinity& affinity) {
  double smallest = 1;
  for (const AffinityCell& cell : affinity.cells) smallest = std::min(smallest, cell.p_max);
  return smallest;
}

// Four units of one or two rows, K = 1, E = 2. Code: experts 0 0 | 0 1; text: 1 | 1 1.
PlantedRoutes Tiny() {
  PlantedRoutes planted;
  RowColumnsBuilder builder;
  planted.layer.n_experts = 2;
  planted.layer.experts_per_token = 1;
  int64_t document = 0;
  for (const auto& [dataset, experts] : std::vector<std::pair<std::string, std::vector<int>>>{
           {"code", {0, 0}}, {"code", {0, 1}}, {"text", {1}}, {"text", {1, 1}}}) {
    builder.BeginDocument(document, dataset, "unit " + std::to_string(document));
    ++document;
    builder.BeginSequence();
    for (int expert : experts) {
      builder.AddRow(7, 0, false);
      planted.layer.experts.push_back(static_cast<int16_t>(expert));
    }
  }
  planted.rows = builder.Finish();
  return planted;
}

TEST(Affinity, OddsRatiosByHand) {
  const Affinity affinity = Analyse(Tiny(), Quick());
  ASSERT_EQ(affinity.cells.size(), 2u);
  // Group: 3 of 4 rows; rest: 0 of 3. (3.5 / 1.5) / (0.5 / 3.5).
  EXPECT_NEAR(affinity.cells[0].raw.odds_ratio, (3.5 * 3.5) / (1.5 * 0.5), 1e-12);
  EXPECT_NEAR(affinity.cells[1].raw.odds_ratio, (1.5 * 0.5) / (3.5 * 3.5), 1e-12);
  EXPECT_EQ(affinity.cells[0].group_share, 0.75);
  EXPECT_EQ(affinity.cells[0].rest_share, 0);
  // 2 of 4 units: 6 arrangements, too few.
  EXPECT_EQ(affinity.why_no_p, "2 and 2 units have 6 arrangements, fewer than 20");
  EXPECT_TRUE(std::isnan(affinity.cells[0].p_max));
  EXPECT_EQ(affinity.why_no_interval, "2 and 2 units, fewer than 10 on a side");
  EXPECT_EQ(affinity.why_no_control, "no token id occurs 10 times or more on both sides");
}

// All 6 arrangements of Tiny, against the odds ratios of tables counted by hand.
TEST(Affinity, PermutedOddsRatiosAreThoseOfTheUnitsChosen) {
  const PlantedRoutes planted = Tiny();
  const std::vector<Arm> arm = {Arm::kGroup, Arm::kRest};
  const UnitArms arms = MakeUnitArms(planted.rows, arm, {});
  const ArmCounts counts = CountArms(arms, CountInclusions(planted.rows, planted.layer), 2);
  const LabelPermutations permutations(arms.in_group, 2, 9999, 1);
  ThreadPool pool(1);
  const auto ratios = PermuteLogOddsRatios(arms, counts, permutations, pool);
  const double in[] = {2, 1, 0, 0}, rows[] = {2, 2, 1, 2};
  ASSERT_EQ(permutations.size(), 5);
  for (int i = 0; i < 5; ++i) {
    std::vector<int32_t> labels(4);
    permutations.Fill(i, labels);
    TwoByTwo table;
    for (int u = 0; u < 4; ++u) {
      (labels[u] == 1 ? table.group_in : table.rest_in) += in[u];
      (labels[u] == 1 ? table.group_out : table.rest_out) += rows[u] - in[u];
    }
    EXPECT_NEAR(ratios[2 * i], LogOddsRatio(table), 1e-12);
  }
}

// Identical token distributions; an opening tag decides. Expert 0 is chosen first by 40 % of code
// and 20 % of text, so included by 0.4 + 0.6 / 3 = 0.6 and 0.2 + 0.8 / 3 = 0.4667.
TEST(Affinity, FindsADomainExpertThroughTheTokenControl) {
  PlantedDomains plan;
  plan.n_units = 40;
  plan.shares = [](int dataset, int, int32_t) {
    return dataset == 0 ? Shares{0.4, 0.2, 0.2, 0.2} : Shares{0.2, 0.4, 0.2, 0.2};
  };
  const Affinity affinity = Analyse(PlantDomains(plan), Quick());
  const double group = 0.6, rest = 0.2 + 0.8 / 3;
  const double truth = group / (1 - group) / (rest / (1 - rest));
  const AffinityCell& cell = affinity.cells[0];
  const double n = 40 * 300;
  const double error = std::sqrt(1 / (n * group * (1 - group)) + 1 / (n * rest * (1 - rest)));
  EXPECT_NEAR(std::log(cell.raw.odds_ratio), std::log(truth), 4 * error);
  EXPECT_NEAR(std::log(cell.controlled.odds_ratio), std::log(truth), 4 * error);
  EXPECT_LE(cell.p_max, 0.002);
  EXPECT_LE(cell.controlled_p, 1e-4);
  EXPECT_TRUE(cell.replicated);
  EXPECT_LT(cell.smallest_shown, truth);
  EXPECT_EQ(affinity.cells[1].raw.side(), -1);
  EXPECT_GT(affinity.cells[2].p_max, 0.05);  // an expert that does not differ
  EXPECT_FALSE(affinity.cells[2].replicated);
  EXPECT_EQ(affinity.control_ids, 20);
  EXPECT_EQ(affinity.group_coverage, 1);
  // Without unit effects, errors by rows and by units are the same within sampling.
  EXPECT_NEAR(cell.controlled_log_error_rows, error, 0.02 * error);
}

// The decoy: a router that reads token ids, in corpora that use different tokens.
TEST(Affinity, TokensExplainARouterThatReadsThem) {
  PlantedDomains plan;
  plan.n_units = 40;
  plan.token = [](int dataset, Random& random) {
    const auto half = static_cast<int32_t>(random.Below(10));
    return random.Uniform() < (dataset == 0 ? 0.7 : 0.3) ? half : 10 + half;
  };
  plan.shares = [](int, int, int32_t token) {
    return token < 10 ? Shares{0.55, 0.15, 0.15, 0.15} : Shares{0.15, 0.55, 0.15, 0.15};
  };
  const Affinity affinity = Analyse(PlantDomains(plan), Quick());
  for (int expert : {0, 1}) {
    const AffinityCell& cell = affinity.cells[expert];
    EXPECT_LE(cell.p_max, 0.002);
    EXPECT_NE(cell.raw.side(), 0);
    EXPECT_EQ(cell.controlled.side(), 0);
    EXPECT_GT(cell.controlled_p, 0.05);
    EXPECT_NEAR(std::log(cell.controlled.odds_ratio), 0, 4 * cell.controlled_log_error_rows);
  }
}

// An expert that one side alone ever chooses has an infinite odds ratio for every token: the
// strongest preference there is must not be the one that is left without a number.
TEST(Affinity, AnExpertOfOneSideAloneHasAControlledOddsRatio) {
  for (int rest_units : {12, 48}) {
    PlantedDomains plan;
    plan.datasets = {"code", "text", "more text", "prose", "verse"};
    plan.datasets.resize(1 + rest_units / 12);
    plan.n_units = 12;
    plan.n_experts = 5;
    plan.shares = [](int dataset, int, int32_t) {
      return dataset == 0 ? Shares{0.4, 0.3, 0.3, 0, 0} : Shares{0, 0.5, 0.5, 0, 0};
    };
    PlantedRoutes planted = PlantDomains(plan);
    // Second choices: never expert 0, as first choices of one side.
    for (size_t slot = 1; slot < planted.layer.experts.size(); slot += 2) {
      planted.layer.experts[slot] = slot % 4 == 1 ? 3 : 4;
    }
    const Affinity affinity = Analyse(planted, Quick());
    const AffinityCell& cell = affinity.cells[0];
    EXPECT_EQ(cell.rest_share, 0);
    EXPECT_EQ(cell.controlled.side(), 1);
    EXPECT_LE(cell.controlled_p, 1e-4);
    EXPECT_GT(cell.controlled.odds_ratio, 50);
    // Second choices by turns, whatever the side: no preference.
    EXPECT_EQ(affinity.cells[3].controlled.side(), 0);
  }
}

// A rare expert that the small side happens not to choose is no finding for the large one.
TEST(TokenControl, NeutralRowsFavourNeitherSideHoweverUnequal) {
  MantelHaenszel pooled;
  pooled.Add(WithNeutralRows({0, 10, 1, 999}));
  EXPECT_GT(pooled.odds_ratio(), 0.2);
  EXPECT_LT(pooled.odds_ratio(), 1);
  MantelHaenszel none;
  none.Add(WithNeutralRows({0, 10, 0, 1000}));
  EXPECT_NEAR(none.odds_ratio(), 1, 1e-12);
}

// Experts so rare that in a quarter of the corpora one side never chooses them, in bursts of a few
// units: no more are found than an interval of 95 % may find.
TEST(TokenControl, RareExpertsAreFoundNoMoreOftenThanTheyMayBe) {
  int n_separated = 0, n_found = 0;
  for (int corpus = 0; corpus < 400; ++corpus) {
    PlantedDomains plan;
    plan.n_units = corpus % 2 == 0 ? 12 : 30;
    plan.rows_per_unit = 60;
    plan.n_experts = 4;
    plan.seed = Combine(99, corpus);
    plan.shares = [&](int, int unit, int32_t) {
      const double rare = Random(Combine(plan.seed, unit)).Uniform() < 0.1 ? 0.05 : 0.0;
      return Shares{rare, (1 - rare) / 2, (1 - rare) / 2, 0};
    };
    PlantedRoutes planted = PlantDomains(plan);
    for (size_t slot = 1; slot < planted.layer.experts.size(); slot += 2) {
      planted.layer.experts[slot] = 3;
    }
    const std::vector<Arm> arm = {Arm::kGroup, Arm::kRest};
    const UnitArms arms = MakeUnitArms(planted.rows, arm, {});
    const SharedTokens tokens(planted.rows, arms, 10);
    const ControlledOdds odds = ControlForTokens(planted.rows, planted.layer, arms, tokens)[0];
    n_separated += odds.is_separated;
    n_found += std::abs(std::log(odds.odds_ratio)) > 1.96 * odds.log_error_units;
  }
  EXPECT_GT(n_separated, 60);
  EXPECT_LE(n_found, 37);  // 5 % of 400, and four standard errors
}

// The linearised error against the spread of the pooled odds ratio over corpora of units that
// differ, where taking rows as independent is far too sure.
TEST(TokenControl, ErrorsByUnitsAreTheSpreadOverCorpora) {
  const int n_corpora = 300;
  double sum = 0, squares = 0, mean_variance = 0, mean_row_variance = 0;
  for (int corpus = 0; corpus < n_corpora; ++corpus) {
    PlantedDomains plan;
    plan.n_units = 25;
    plan.rows_per_unit = 80;
    plan.seed = Combine(77, corpus);
    plan.token = [](int, Random& random) { return static_cast<int32_t>(random.Below(5)); };
    plan.shares = [&](int, int unit, int32_t token) {
      const double share = 0.1 + 0.4 * Random(Combine(plan.seed, unit)).Uniform() + 0.02 * token;
      const double other = (1 - share) / 3;
      return Shares{share, other, other, other};
    };
    const auto planted = PlantDomains(plan);
    const std::vector<Arm> arm = {Arm::kGroup, Arm::kRest};
    const UnitArms arms = MakeUnitArms(planted.rows, arm, {});
    const SharedTokens tokens(planted.rows, arms, 10);
    const ControlledOdds odds = ControlForTokens(planted.rows, planted.layer, arms, tokens)[0];
    const double log_ratio = std::log(odds.odds_ratio);
    sum += log_ratio;
    squares += log_ratio * log_ratio;
    mean_variance += odds.log_error_units * odds.log_error_units / n_corpora;
    mean_row_variance += odds.log_error_rows * odds.log_error_rows / n_corpora;
  }
  const double mean = sum / n_corpora;
  const double variance = squares / n_corpora - mean * mean;
  // A variance of 300 has a relative standard error of sqrt(2 / 300) = 8 %.
  EXPECT_NEAR(mean_variance / variance, 1, 0.3);
  EXPECT_LT(mean_row_variance / variance, 0.4);
}

TEST(Affinity, FindsNothingInEvenOrSkewedRoutesThatIgnoreTheDataSet) {
  for (const Shares& shares : {Shares{0.25, 0.25, 0.25, 0.25}, Shares{0.6, 0.2, 0.15, 0.05}}) {
    PlantedDomains plan;
    plan.n_units = 30;
    plan.shares = [&](int, int, int32_t) { return shares; };
    const Affinity affinity = Analyse(PlantDomains(plan), Quick());
    EXPECT_GT(SmallestP(affinity), 0.05);
    for (const AffinityCell& cell : affinity.cells) {
      EXPECT_FALSE(cell.replicated);
      EXPECT_GT(cell.controlled_p, 0.05);
    }
  }
}

// Corpora of 40 + 40 units with effects of their own, 100 rows each. `shift` is added to the
// group's share of first choices, so 2/3 of it to its inclusions, whose difference has a standard
// error of sqrt(2 / 40 (0.0385^2 + 0.05^2)) = 0.0141: units differ by 0.0385, rows of a unit by
// 0.05.
struct Repeats {
  double found = 0;           // share of corpora with any cell at p_max <= 0.05
  double found_first = 0;     // with the shifted expert
  double smallest_shown = 0;  // mean over corpora, of the shifted expert
};

Repeats RunRepeats(double shift, int n_repeats) {
  Repeats result;
  for (int repeat = 0; repeat < n_repeats; ++repeat) {
    PlantedDomains plan;
    plan.n_units = 40;
    plan.rows_per_unit = 100;
    plan.seed = Combine(shift > 0 ? 31 : 32, repeat);
    plan.shares = [&](int dataset, int unit, int32_t) {
      const double effect = 0.2 * Random(Combine(plan.seed, unit)).Uniform();
      const double share = 0.2 + effect + (dataset == 0 ? shift : 0);
      const double other = (1 - share) / 3;
      return Shares{share, other, other, other};
    };
    AffinityOptions options = Quick();
    options.n_permutations = 499;
    options.bootstrap.n_samples = 0;
    const Affinity affinity = Analyse(PlantDomains(plan), options, 1);
    result.found += (SmallestP(affinity) <= 0.05) / static_cast<double>(n_repeats);
    result.found_first += (affinity.cells[0].p_max <= 0.05) / static_cast<double>(n_repeats);
    result.smallest_shown += affinity.cells[0].smallest_shown / n_repeats;
  }
  return result;
}

TEST(Affinity, ResampledCorporaAreNotFound) {
  EXPECT_LE(RunRepeats(0, 200).found, 0.08);
}

// 0.08 on inclusions: 5.7 standard errors.
TEST(Affinity, ShiftedCorporaAreFound) {
  EXPECT_GE(RunRepeats(0.12, 200).found, 0.95);
}

// A true odds ratio about as large as the smallest that would have been shown is shown in about 80
// of 100 corpora.
TEST(Affinity, TheSmallestOddsRatioShownHasPowerFourFifths) {
  const double shift = 0.07;
  const Repeats repeats = RunRepeats(shift, 300);
  const double rest = 0.3 + 0.7 / 3, group = rest + shift * 2 / 3;
  const double truth = group / (1 - group) / (rest / (1 - rest));
  EXPECT_NEAR(std::log(repeats.smallest_shown) / std::log(truth), 1, 0.08);
  EXPECT_NEAR(repeats.found_first, 0.8, 0.12);
}

// A thousand corpora whose units have effects: intervals of the odds ratio cover the truth.
TEST(Affinity, IntervalsCoverTheTruthInNinetyFiveOfAHundredCorpora) {
  const int n_corpora = 1000, n_units = 60;
  ThreadPool pool(0);
  BootstrapOptions options;
  options.n_samples = 600;
  int covered = 0;
  for (int corpus = 0; corpus < n_corpora; ++corpus) {
    Random random(Combine(2025, corpus));
    UnitArms arms;
    ArmCounts counts;
    counts.n_experts = 1;
    arms.strata = {n_units, n_units};
    arms.stratum_in_group = {1, 0};
    for (int unit = 0; unit < 2 * n_units; ++unit) {
      const bool group = unit < n_units;
      const int64_t rows = 500 + static_cast<int64_t>(random.Below(1500));
      // Mean 0.3 and 0.2, units uniform within 0.15 of it.
      const double share = (group ? 0.3 : 0.2) + 0.3 * (random.Uniform() - 0.5);
      arms.units.push_back(unit);
      arms.in_group.push_back(group);
      arms.rows.push_back(rows);
      counts.included.push_back(static_cast<int32_t>(static_cast<double>(rows) * share + 0.5));
    }
    const double truth = std::log(0.3 / 0.7 / (0.2 / 0.8));
    const Interval interval = BootstrapLogOddsRatios(arms, counts, corpus, options, pool)[0];
    covered += interval.low <= truth && truth <= interval.high;
  }
  EXPECT_GE(covered, 930);
  EXPECT_LE(covered, 970);
}

TEST(Affinity, IsTheSameForAnyNumberOfThreads) {
  PlantedDomains plan;
  plan.shares = [](int, int, int32_t) { return Shares{0.4, 0.3, 0.2, 0.1}; };
  const auto planted = PlantDomains(plan);
  const Affinity a = Analyse(planted, Quick(), 1), b = Analyse(planted, Quick(), 3);
  EXPECT_EQ(a.critical_value, b.critical_value);
  for (size_t c = 0; c < a.cells.size(); ++c) {
    EXPECT_EQ(a.cells[c].p_max, b.cells[c].p_max);
    EXPECT_EQ(a.cells[c].smallest_shown, b.cells[c].smallest_shown);
    EXPECT_EQ(a.cells[c].raw.interval->low, b.cells[c].raw.interval->low);
    EXPECT_EQ(a.cells[c].halves[1].interval->high, b.cells[c].halves[1].interval->high);
  }
}

TEST(Affinity, ArmsAreResolvedByNameOrByRule) {
  RowColumnsBuilder builder;
  for (const char* name : {"French", "GitHub-java", "my python", "news"}) {
    builder.BeginDocument(0, name, "u");
    builder.BeginSequence();
    builder.AddRow(1, 0, false);
  }
  const RowColumns rows = builder.Finish();
  AffinityOptions options;
  using enum Arm;
  EXPECT_EQ(ResolveArms(rows, options), (std::vector<Arm>{kRest, kGroup, kGroup, kRest}));
  options.against = {"news"};
  EXPECT_EQ(ResolveArms(rows, options), (std::vector<Arm>{kNone, kGroup, kGroup, kRest}));
  options.group = {"French"};
  EXPECT_EQ(ResolveArms(rows, options), (std::vector<Arm>{kGroup, kNone, kNone, kRest}));
  options.against = {"French"};
  EXPECT_THROW(ResolveArms(rows, options), Error);
  options.against = {"German"};
  EXPECT_THROW(ResolveArms(rows, options), Error);
  options.against.clear();
  options.group = {"French", "GitHub-java", "my python", "news"};
  EXPECT_THROW(ResolveArms(rows, options), Error);
}

}  // namespace
}  // namespace moescope::study
