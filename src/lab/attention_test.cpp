#include "lab/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace moescope::lab {
namespace {

TEST(EvenAttention, IsTheMeanOverRowsOfOneOverWhatTheySee) {
  const HeadFigures even = EvenAttention(4, 0);  // rows that see 2, 3 and 4 tokens
  EXPECT_EQ(even.n_rows, 3);
  const double share = (1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 3;
  EXPECT_NEAR(even.sink, share, 1e-15);
  EXPECT_NEAR(even.previous, share, 1e-15);
  EXPECT_NEAR(even.self, share, 1e-15);
  EXPECT_NEAR(even.entropy, (std::log(2) + std::log(3) + std::log(4)) / 3, 1e-15);
  EXPECT_NEAR(even.distance, (0.5 + 1 + 1.5) / 3, 1e-15);
}

TEST(EvenAttention, DoesNotSeePastTheWindow) {
  const HeadFigures even = EvenAttention(5, 2);  // every row sees itself and one before
  EXPECT_NEAR(even.sink, 0.5 / 4, 1e-15) << "only row 1 sees the first token";
  EXPECT_NEAR(even.previous, 0.5, 1e-15);
  EXPECT_NEAR(even.entropy, std::log(2), 1e-15);
  const HeadFigures alone = EvenAttention(5, 1);
  EXPECT_EQ(alone.sink, 0);
  EXPECT_EQ(alone.previous, 0);
  EXPECT_EQ(alone.self, 1);
}

TEST(EvenAttention, OfOneTokenHasNoRows) {
  EXPECT_EQ(EvenAttention(1, 0).n_rows, 0);
}

// A head that is even gets the figures of even attention from the probe that watches a model.
TEST(EvenAttention, AgreesWithTheProbe) {
  files::ModelConfig config;
  config.n_layers = config.n_heads = 1;
  HeadFiguresProbe probe(config);
  constexpr int kTokens = 9;
  std::vector<routing::RowInfo> rows(kTokens);
  std::vector<float> weights(kTokens * kTokens);
  for (int row = 0; row < kTokens; ++row) {
    rows[static_cast<size_t>(row)].position = row;
    for (int key = 0; key <= row; ++key) {
      weights[static_cast<size_t>(row * kTokens + key)] = 1.0f / static_cast<float>(row + 1);
    }
  }
  probe.OnAttention({.rows = rows, .n_keys = kTokens, .weights = weights});
  const HeadFigures watched = probe.Figures()[0];
  const HeadFigures even = EvenAttention(kTokens, 0);
  EXPECT_EQ(watched.n_rows, even.n_rows);
  EXPECT_NEAR(watched.entropy, even.entropy, 1e-6);
  EXPECT_NEAR(watched.distance, even.distance, 1e-2) << "kept to 1/128 of a token";
  EXPECT_NEAR(watched.sink, even.sink, 1e-7);
  EXPECT_NEAR(watched.previous, even.previous, 1e-7);
  EXPECT_NEAR(watched.self, even.self, 1e-7);
}

TEST(HeadKind, IsWhereHalfOfTheWeightGoesElseHowEvenItIs) {
  const HeadFigures even = {.entropy = 2.0};
  auto kind = [&](const HeadFigures& head) { return KindOf(head, even); };
  EXPECT_EQ(kind({.sink = 0.5, .previous = 0.5}), HeadKind::kSink) << "asked first";
  EXPECT_EQ(kind({.sink = 0.49, .previous = 0.5}), HeadKind::kPrevious);
  EXPECT_EQ(kind({.entropy = 1.9, .self = 0.6}), HeadKind::kSelf);
  EXPECT_EQ(kind({.entropy = 1.5}), HeadKind::kBroad);
  EXPECT_EQ(kind({.entropy = 1.49}), HeadKind::kOther);
}

}  // namespace
}  // namespace moescope::lab
