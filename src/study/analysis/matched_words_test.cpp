#include "study/analysis/matched_words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace moescope::study {
namespace {

std::vector<int32_t> Range(int32_t from, int32_t to) {
  std::vector<int32_t> words(static_cast<size_t>(to - from));
  std::iota(words.begin(), words.end(), from);
  return words;
}

size_t PairsOf(const WordsForPairs& words) {
  return DrawPairs(words.a, words.b, 1'000'000, 1).size();
}

TEST(WordsForPairs, AreTheFewestOfOneList) {
  // 46 words make 1,035 pairs, 45 make 990.
  const auto words = Range(0, 300);
  const WordsForPairs chosen = ChooseWordsForPairs(words, words, 1000, 1);
  EXPECT_EQ(chosen.a.size(), 46u);
  EXPECT_EQ(chosen.a, chosen.b);
  EXPECT_EQ(DrawPairs(chosen.a, chosen.b, 1000, 7).size(), 1000u);
}

TEST(WordsForPairs, AreTheFewestOfListsWithoutACommonWord) {
  // 31 x 32 = 992, 32 x 32 = 1,024.
  const WordsForPairs chosen = ChooseWordsForPairs(Range(0, 100), Range(100, 400), 1000, 1);
  EXPECT_EQ(chosen.a.size(), 32u);
  EXPECT_EQ(chosen.b.size(), 32u);
  EXPECT_EQ(PairsOf(chosen), 1024u);
  EXPECT_LT(chosen.a.back(), 100);
  EXPECT_GE(chosen.b.front(), 100);
}

TEST(WordsForPairs, AreMixedWhereListsOverlap) {
  // 10 in both make 45 pairs; the rest comes from both sides.
  const WordsForPairs chosen = ChooseWordsForPairs(Range(0, 40), Range(30, 70), 300, 1);
  EXPECT_GE(PairsOf(chosen), 300u);
  EXPECT_TRUE(std::ranges::includes(chosen.a, Range(30, 40)));
  EXPECT_TRUE(std::ranges::includes(chosen.b, Range(30, 40)));
  std::set<int32_t> all(chosen.a.begin(), chosen.a.end());
  all.insert(chosen.b.begin(), chosen.b.end());
  EXPECT_LE(all.size(), 28u);  // 10 + 8 + 9: 45 + 10 x 17 + 8 x 9 = 287 are too few
}

TEST(WordsForPairs, AreAllWhenTheyDoNotDo) {
  const WordsForPairs chosen = ChooseWordsForPairs(Range(0, 3), Range(1, 5), 1000, 1);
  EXPECT_EQ(chosen.a, Range(0, 3));
  EXPECT_EQ(chosen.b, Range(1, 5));
  EXPECT_TRUE(ChooseWordsForPairs({}, {}, 10, 1).a.empty());
}

TEST(WordsForPairs, AreSharedByQuestionsAndDrawnBySeed) {
  const auto one = ChooseWordsForPairs(Range(0, 200), Range(0, 200), 100, 1).a;
  const auto other = ChooseWordsForPairs(Range(0, 190), Range(0, 190), 100, 1).a;
  std::vector<int32_t> common;
  std::ranges::set_intersection(one, other, std::back_inserter(common));
  EXPECT_GE(common.size(), one.size() - 4);
  EXPECT_NE(one, ChooseWordsForPairs(Range(0, 200), Range(0, 200), 100, 2).a);
}

}  // namespace
}  // namespace moescope::study
