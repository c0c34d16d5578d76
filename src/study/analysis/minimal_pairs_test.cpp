#include "study/analysis/minimal_pairs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "study/analysis/minimal_pair_plan.h"

namespace moescope::study {
namespace {

using routing::RoutedRows;

struct Row {
  int32_t token = 0;
  std::vector<int16_t> experts;  // [n_layers * 2]
  std::vector<float> weights;    // {}: halves
};

RoutedRows Rows(int n_layers, const std::vector<Row>& rows) {
  RoutedRows routed = {n_layers, 2, {}, {}, {}};
  for (const Row& row : rows) routed.token_ids.push_back(row.token);
  for (int layer = 0; layer < n_layers; ++layer) {
    for (const Row& row : rows) {
      for (size_t slot = 0; slot < 2; ++slot) {
        const size_t at = static_cast<size_t>(layer) * 2 + slot;
        routed.experts.push_back(row.experts[at]);
        routed.weights.push_back(row.weights.empty() ? 0.5f : row.weights[at]);
      }
    }
  }
  return routed;
}

using Word = std::vector<RoutedRows>;

std::vector<MinimalPair> Compare(const std::vector<Word>& words,
                                 const std::vector<MinimalPairQuestion>& questions,
                                 const std::vector<int>& layers, int n_threads = 2) {
  const std::vector<WordInTemplates> views(words.begin(), words.end());
  ThreadPool pool(n_threads);
  return CompareMinimalPairs(views, questions, layers, {}, pool);
}

double Of(const MinimalPair& pair, MinimalKind kind) {
  return pair.of(kind).distance;
}

// Two layers, two templates, by hand.
TEST(MinimalPairs, AreOneLessTheMeanShareInCommon) {
  const Word a = {Rows(2, {{7, {0, 1, 2, 3}, {0.75f, 0.25f, 0.5f, 0.5f}},
                           {20, {0, 1, 0, 1}, {}},
                           {21, {4, 5, 6, 7}, {}}}),
                  Rows(2, {{7, {0, 1, 2, 3}, {}}, {22, {1, 0, 1, 0}, {}}})};
  const Word b = {Rows(2, {{8, {0, 2, 4, 5}, {0.25f, 0.75f, 0.5f, 0.5f}},
                           {20, {0, 1, 0, 2}, {}},
                           {21, {4, 5, 5, 4}, {}}}),
                  Rows(2, {{9, {1, 0, 2, 6}, {}}, {22, {0, 1, 1, 0}, {}}})};
  const MinimalPair pair = Compare({a, b}, {{0, 1, {}, 0}}, {0, 1})[0];
  EXPECT_EQ(pair.templates, (std::vector<int32_t>{0, 1}));
  // In common at the last piece: 1/2 and 0 in the first template, 1 and 1/2 in the second.
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kSets), 1 - 2.0 / 4);
  EXPECT_DOUBLE_EQ(pair.layers[0].distance[0], 1 - 1.5 / 2);
  EXPECT_DOUBLE_EQ(pair.layers[1].distance[0], 1 - 0.5 / 2);
  EXPECT_DOUBLE_EQ(pair.by_template[0][0], 1 - 0.5 / 2);
  EXPECT_DOUBLE_EQ(pair.by_template[1][0], 1 - 1.5 / 2);
  // By weight: (0.75 + 0.25) / 2, 0, 1, (0.5 + 0.5) / 2.
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kWeights), 1 - 2.0 / 4);
  // After: two tokens in the first template, one in the second; six (token, layer) in all, of
  // which in common 1, 1/2, 1, 0, 1, 1.
  EXPECT_EQ(pair.after_tokens, 3);
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kAfter), 1 - 4.5 / 6);
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kAfterWeights), 1 - 4.5 / 6);
  EXPECT_EQ(pair.same_last_piece, 0);
  EXPECT_EQ(pair.null_pairs, 0);
  EXPECT_EQ(pair.why_no_p, "underpowered: 0 null pairs, fewer than 20");
  EXPECT_EQ(pair.why_no_interval, "2 templates, fewer than 10");
  EXPECT_FALSE(pair.of(MinimalKind::kSets).interval);
  EXPECT_TRUE(std::isnan(pair.of(MinimalKind::kSets).p));
  // One layer alone.
  EXPECT_DOUBLE_EQ(Of(Compare({a, b}, {{0, 1, {}, 0}}, {1})[0], MinimalKind::kSets), 1 - 0.25);
}

TEST(MinimalPairs, CompareWhatFollowsOnlyWhereTokensAreTheSame) {
  // The tokens right after the word differ ("s" and "es", say), the last two do not; and the last
  // piece is never one of what follows, even where it has the same id.
  const Word a = {Rows(1, {{7, {0, 1}, {}}, {20, {0, 1}, {}}, {30, {0, 1}, {}}, {31, {0, 1}, {}}})};
  const Word b = {Rows(1, {{7, {2, 3}, {}}, {21, {2, 3}, {}}, {30, {0, 2}, {}}, {31, {0, 1}, {}}})};
  const MinimalPair pair = Compare({a, b}, {{0, 1, {}, 0}}, {0})[0];
  EXPECT_EQ(pair.after_tokens, 2);
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kAfter), 0.25);
  const Word end_a = {Rows(1, {{7, {0, 1}, {}}})}, end_b = {Rows(1, {{7, {0, 2}, {}}})};
  const MinimalPair ends = Compare({end_a, end_b}, {{0, 1, {}, 0}}, {0})[0];
  EXPECT_EQ(ends.after_tokens, 0);
  EXPECT_DOUBLE_EQ(Of(ends, MinimalKind::kSets), 0.5);
  EXPECT_TRUE(std::isnan(Of(ends, MinimalKind::kAfter)));
}

// a and x end in the same token in the first template, a and y in none.
TEST(MinimalPairs, SayHowManyEndInTheSamePiece) {
  const Word a = {Rows(1, {{7, {0, 1}, {}}}), Rows(1, {{7, {0, 1}, {}}})};
  const Word x = {Rows(1, {{7, {0, 1}, {}}}), Rows(1, {{8, {0, 1}, {}}})};
  const Word y = {Rows(1, {{9, {0, 1}, {}}}), Rows(1, {{9, {0, 1}, {}}})};
  const MinimalPair pair = Compare({a, x, y}, {{0, 1, {{0, 1}, {0, 2}}, 0}}, {0})[0];
  EXPECT_DOUBLE_EQ(pair.same_last_piece, 0.5);
  EXPECT_DOUBLE_EQ(pair.null_same_last_piece, 0.25);
}

TEST(MinimalPairs, LeaveOutTemplatesWhereAWordDoesNotStandByItself) {
  const RoutedRows none = {1, 2, {}, {}, {}};
  const Word a = {Rows(1, {{7, {0, 1}, {}}}), none, Rows(1, {{7, {0, 1}, {}}})};
  const Word b = {none, none, Rows(1, {{8, {0, 2}, {}}})};
  const Word far = {Rows(1, {{9, {4, 5}, {}}}), Rows(1, {{9, {4, 5}, {}}}), none};
  // The null is compared in the pair's templates: b and `far` have none of those in common.
  const auto pairs = Compare({a, b, far}, {{0, 1, {{0, 2}, {0, 1}}, 0}, {1, 2, {}, 0}}, {0});
  EXPECT_EQ(pairs[0].templates, std::vector<int32_t>{2});
  EXPECT_EQ(pairs[0].null_pairs, 1);
  EXPECT_EQ(pairs[1].why_not, "no template where both words stand by themselves");
  EXPECT_TRUE(std::isnan(Of(pairs[1], MinimalKind::kSets)));
}

TEST(MinimalPairs, CountADroppedSlotAsNothingInCommon) {
  const Word a = {Rows(1, {{7, {3, -1}, {0.5f, 0}}})};
  const Word b = {Rows(1, {{8, {3, -1}, {0.25f, 0}}})};
  const MinimalPair pair = Compare({a, b}, {{0, 1, {}, 0}}, {0})[0];
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kSets), 0.5);
  EXPECT_DOUBLE_EQ(Of(pair, MinimalKind::kWeights), 0);  // weights are made to sum to 1
}

// Words in 30 templates at 3 layers: word w goes where its home is in 7 of 10 decisions, else
// anywhere; 0 and 1 have the same home. What follows goes the way of the template alone.
std::vector<Word> Planted(int n_words) {
  Random random(11);
  const auto draw = [&] {
    const auto first = static_cast<int16_t>(random.Below(8));
    auto second = static_cast<int16_t>(random.Below(7));
    if (second >= first) ++second;
    return std::vector<int16_t>{first, second};
  };
  const auto append = [](std::vector<int16_t>& to, const std::vector<int16_t>& set) {
    to.insert(to.end(), set.begin(), set.end());
  };
  std::vector<Word> words;
  std::vector<std::vector<int16_t>> home;
  for (int w = 0; w < n_words; ++w) {
    for (int l = 0; l < 3; ++l) home.push_back(w == 1 ? home[static_cast<size_t>(l)] : draw());
    Word& word = words.emplace_back();
    for (int t = 0; t < 30; ++t) {
      Row piece = {w, {}, {}};
      for (int l = 0; l < 3; ++l) {
        const bool at_home = random.Uniform() < 0.7;
        append(piece.experts, at_home ? home[static_cast<size_t>(w * 3 + l)] : draw());
      }
      const auto e = static_cast<int16_t>(t % 7);
      const auto next = static_cast<int16_t>(e + 1);
      word.push_back(Rows(3, {piece, {100 + t, {e, next, e, next, e, next}, {}}}));
    }
  }
  return words;
}

std::vector<std::pair<int, int>> PairsFrom(int from, int to) {
  std::vector<std::pair<int, int>> pairs;
  for (int x = from; x < to; ++x) {
    for (int y = x + 1; y < to; ++y) pairs.emplace_back(x, y);
  }
  return pairs;
}

TEST(MinimalPairs, FindThePlantedPairAndNotTheDecoy) {
  const auto words = Planted(44);
  const auto null = PairsFrom(4, 44);
  const auto pairs = Compare(words, {{0, 1, null, 1}, {2, 3, null, 2}}, {0, 1, 2});
  const MinimalDistance& close = pairs[0].of(MinimalKind::kSets);
  EXPECT_EQ(pairs[0].null_pairs, 780);
  // Both at home in 0.49 of decisions; else two sets share 1/4 of 2 on average (0.25 x 2 / 2).
  EXPECT_NEAR(close.distance, 1 - 0.49 - 0.51 * 0.25, 0.1);
  EXPECT_NEAR(close.null_mean, 0.75, 0.05);
  EXPECT_LT(close.p, 0.01);
  EXPECT_DOUBLE_EQ(close.p_holm, 2 * close.p);
  ASSERT_TRUE(close.interval);
  EXPECT_LT(close.interval->low, close.distance);
  EXPECT_GT(close.interval->high, close.distance);
  EXPECT_LT(close.interval->high, close.null_mean);
  const MinimalDistance& decoy = pairs[1].of(MinimalKind::kSets);
  EXPECT_GT(decoy.p, 0.05);
  // What follows is the same for every word: as close as the null, which says nothing.
  EXPECT_DOUBLE_EQ(Of(pairs[0], MinimalKind::kAfter), 0);
  EXPECT_DOUBLE_EQ(pairs[0].of(MinimalKind::kAfter).p, 1);
}

TEST(MinimalPairs, OfOneWordAreZeroAndOfAnyThreadsTheSame) {
  const auto words = Planted(30);
  const auto null = PairsFrom(2, 30);
  const std::vector<MinimalPairQuestion> questions = {{0, 0, null, 1}, {0, 2, null, 2}};
  const auto one = Compare(words, questions, {0, 1, 2}, 1);
  const auto three = Compare(words, questions, {0, 1, 2}, 3);
  for (const MinimalDistance& same : one[0].distances) {
    EXPECT_EQ(same.distance, 0);
    EXPECT_EQ(same.interval->high, 0);
  }
  for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
    EXPECT_EQ(one[1].distances[kind].distance, three[1].distances[kind].distance);
    EXPECT_EQ(one[1].distances[kind].null_mean, three[1].distances[kind].null_mean);
    EXPECT_EQ(one[1].distances[kind].interval->low, three[1].distances[kind].interval->low);
  }
}

TEST(MinimalPairs, HaveAPOnlyWithTwentyNullPairs) {
  const auto words = Planted(12);
  auto null = PairsFrom(2, 12);
  null.resize(20);
  EXPECT_EQ(Compare(words, {{0, 1, null, 1}}, {0})[0].why_no_p, "");
  null.resize(19);
  const MinimalPair pair = Compare(words, {{0, 1, null, 1}}, {0})[0];
  EXPECT_EQ(pair.why_no_p, "underpowered: 19 null pairs, fewer than 20");
  EXPECT_TRUE(std::isnan(pair.of(MinimalKind::kSets).p));
  EXPECT_TRUE(std::isnan(pair.of(MinimalKind::kSets).p_holm));
  EXPECT_FALSE(std::isnan(pair.of(MinimalKind::kSets).null_mean));
}

// Words that differ only in name: 40 that occur 10 times each, one 100 times, one with a capital.
TEST(MinimalPairPlan, TakesMatchedWordsFromTheRun) {
  std::vector<std::string> vocabulary, names;
  for (int i = 0; i < 40; ++i) {
    names.push_back(std::string("w") + static_cast<char>('a' + i % 26) +
                    static_cast<char>('a' + i / 26));
  }
  names.push_back("often");
  names.push_back("Capital");
  for (const std::string& name : names) vocabulary.push_back(" " + name);
  RowColumnsBuilder builder;
  for (int document = 0; document < 10; ++document) {
    builder.BeginDocument(document, "d", std::to_string(document));
    builder.BeginSequence();
    int32_t position = 0;
    for (int32_t id = 0; id < 42; ++id) {
      for (int n = 0; n < (id == 40 ? 10 : 1); ++n) builder.AddRow(id, position++, false);
    }
  }
  const RowColumns rows = builder.Finish();
  const WordIndex index(rows, vocabulary, -1);
  const auto find = [&](const std::string& word) { return index.Find(word); };
  const MinimalPairPlan plan = PlanMinimalPairs(
      rows, index,
      {{find("waa"), find("wba")}, {find("waa"), find("wca")}, {find("often"), find("waa")}}, 100,
      1);
  ASSERT_EQ(plan.pairs.size(), 3u);
  EXPECT_EQ(plan.pairs[0].candidates_a, 38);  // of 40, the pair itself left out
  EXPECT_EQ(plan.pairs[0].occurrences_a, 10);
  EXPECT_EQ(plan.questions[0].null_pairs.size(), 100u);
  EXPECT_EQ(plan.pairs[0].null_words, 15);  // 105 pairs
  EXPECT_EQ(plan.pairs[0].null_note, "");
  EXPECT_EQ(plan.words[0], "waa");
  EXPECT_EQ(plan.words[3], "often");
  // The second pair's null is of nearly the same words.
  EXPECT_LE(plan.words.size(), 4u + 18);
  for (const auto& [x, y] : plan.questions[0].null_pairs) {
    EXPECT_NE(x, y);
    for (const int word : {x, y}) {
      EXPECT_EQ(plan.words[static_cast<size_t>(word)][0], 'w');
      EXPECT_NE(plan.words[static_cast<size_t>(word)], "waa");
      EXPECT_NE(plan.words[static_cast<size_t>(word)], "wba");
    }
  }
  EXPECT_EQ(plan.questions[2].null_pairs.size(), 0u);
  EXPECT_EQ(plan.pairs[2].null_note,
            "null pairs: 0 instead of 100; words of the text matched to often: 0, to waa: 39");
}

}  // namespace
}  // namespace moescope::study
