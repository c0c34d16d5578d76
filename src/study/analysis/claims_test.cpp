#include "study/analysis/claims.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace moescope::study {
namespace {

const Claim& Find(const std::vector<Claim>& claims, const std::string& name) {
  return *std::find_if(claims.begin(), claims.end(),
                       [&](const Claim& claim) { return claim.name == name; });
}

RepetitionCell Cell(int layer, double repeat, double null, double half_width) {
  RepetitionCell cell;
  cell.dataset = "text";
  cell.layer = layer;
  cell.first_repeat = repeat;
  cell.marginal.first_repeat = null;
  if (half_width > 0)
    cell.first_repeat_interval = Interval{repeat - half_width, repeat + half_width};
  return cell;
}

Verdict Locality(std::vector<RepetitionCell> cells) {
  ClaimEvidence evidence;
  evidence.layers = {0, 4};
  evidence.n_experts = 8;
  evidence.repetition = std::move(cells);
  return Find(JudgeClaims(evidence), "locality").verdict;
}

TEST(Claims, AnIntervalAboveItsNullSupports) {
  EXPECT_EQ(Locality({Cell(4, 0.25, 0.14, 0.02)}), Verdict::kSupported);
}

TEST(Claims, AnIntervalThatEndsBelowTheThresholdContradicts) {
  EXPECT_EQ(Locality({Cell(4, 0.14, 0.14, 0.005)}), Verdict::kContradicted);
  EXPECT_EQ(Locality({Cell(4, 0.144, 0.14, 0.003)}), Verdict::kContradicted)
      << "real, but too small to be called locality";
}

TEST(Claims, AWideIntervalOrNoneCannotSay) {
  EXPECT_EQ(Locality({Cell(4, 0.18, 0.14, 0.06)}), Verdict::kUnderpowered);
  EXPECT_EQ(Locality({Cell(4, 0.25, 0.14, 0)}), Verdict::kUnderpowered);
}

TEST(Claims, WithoutAMajorityTheyAreMixedOrUnderpowered) {
  const RepetitionCell above = Cell(4, 0.25, 0.14, 0.02), none = Cell(4, 0.14, 0.14, 0.005),
                       wide = Cell(4, 0.18, 0.14, 0.06);
  EXPECT_EQ(Locality({above, none}), Verdict::kMixed);
  EXPECT_EQ(Locality({above, none, wide}), Verdict::kMixed);
  EXPECT_EQ(Locality({above, wide}), Verdict::kUnderpowered);
  EXPECT_EQ(Locality({above, above, wide}), Verdict::kSupported);
}

TEST(Claims, OnlyLayersAskedForCount) {
  EXPECT_EQ(Locality({Cell(0, 0.25, 0.14, 0.02), Cell(3, 0.25, 0.14, 0.02)}), Verdict::kNotTested);
}

TEST(Claims, TheSmallestEffectIsWhatTheIntervalCouldHaveShown) {
  ClaimEvidence evidence;
  evidence.layers = {0, 4};
  evidence.repetition = {Cell(4, 0.18, 0.14, 0.06), Cell(4, 0.18, 0.14, 0.06)};
  const std::vector<Claim> claims = JudgeClaims(evidence);
  EXPECT_NEAR(Find(claims, "locality").smallest_effect, 0.06, 1e-12);
  EXPECT_EQ(Find(claims, "locality").n_undecided, 2);
}

TEST(Claims, AFirstLayerNearItsNullSupportsChance) {
  ClaimEvidence evidence;
  evidence.layers = {0, 4};
  evidence.repetition = {Cell(0, 0.145, 0.14, 0.005)};
  EXPECT_EQ(Find(JudgeClaims(evidence), "first_layer").verdict, Verdict::kSupported);
  evidence.repetition = {Cell(0, 0.20, 0.14, 0.01)};
  EXPECT_EQ(Find(JudgeClaims(evidence), "first_layer").verdict, Verdict::kContradicted);
}

TEST(Claims, OneExpertThatPassesEveryControlIsEnough) {
  ClaimEvidence evidence;
  evidence.layers = {0};
  evidence.affinity.emplace();
  AffinityCell cell;
  cell.raw.odds_ratio = cell.controlled.odds_ratio = 3;
  cell.p_max = cell.controlled_p = 0.01;
  cell.replicated = true;
  cell.smallest_shown = 1.2;
  AffinityCell other;
  other.p_max = 0.9;
  other.smallest_shown = 1.2;
  evidence.affinity->cells = {other, cell, other};
  EXPECT_EQ(Find(JudgeClaims(evidence), "code_experts").verdict, Verdict::kSupported);
  evidence.affinity->cells[1].replicated = false;
  EXPECT_EQ(Find(JudgeClaims(evidence), "code_experts").verdict, Verdict::kContradicted);
  for (AffinityCell& weak : evidence.affinity->cells) weak.smallest_shown = 4;
  EXPECT_EQ(Find(JudgeClaims(evidence), "code_experts").verdict, Verdict::kUnderpowered);
}

TEST(Claims, AnAnalysisThatWasRefusedSaysWhy) {
  ClaimEvidence evidence;
  evidence.layers = {0};
  evidence.absent = {{"words", "no token ids"}};
  const std::vector<Claim> claims = JudgeClaims(evidence);
  EXPECT_EQ(Find(claims, "words").verdict, Verdict::kNotTested);
  EXPECT_EQ(Find(claims, "words").evidence, "no token ids");
}

}  // namespace
}  // namespace moescope::study
