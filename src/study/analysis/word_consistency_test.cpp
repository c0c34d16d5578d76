#include "study/analysis/word_consistency.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

// A document a list of sequences, a sequence a list of token ids and first choices.
using Sequence = std::vector<std::pair<int32_t, int16_t>>;

PlantedRoutes Routes(const std::vector<std::vector<Sequence>>& documents, int n_experts) {
  PlantedRoutes planted;
  RowColumnsBuilder builder;
  for (size_t d = 0; d < documents.size(); ++d) {
    builder.BeginDocument(static_cast<int64_t>(d), "text", "unit " + std::to_string(d));
    for (const Sequence& sequence : documents[d]) {
      builder.BeginSequence();
      int32_t position = 0;
      for (const auto& [token, expert] : sequence) {
        builder.AddRow(token, position++, false);
        planted.layer.experts.push_back(expert);
      }
    }
  }
  planted.rows = builder.Finish();
  planted.layer.n_experts = n_experts;
  planted.layer.experts_per_token = 1;
  return planted;
}

std::vector<std::string> WordsIn(const std::vector<std::string>& vocabulary,
                                 const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<Sequence> document;
  for (const auto& ids : sequences) {
    Sequence& sequence = document.emplace_back();
    for (int32_t id : ids) sequence.emplace_back(id, int16_t{0});
  }
  const PlantedRoutes planted = Routes({document}, 1);
  const WordPieces pieces(vocabulary);
  std::vector<std::string> words;
  for (const WordRange& word : pieces.WordsOf(planted.rows, planted.rows.documents[0])) {
    words.push_back(pieces.Text(planted.rows, word) + "/" + std::to_string(word.n_rows));
  }
  return words;
}

using Words = std::vector<std::string>;

TEST(WordPieces, WordsBeginAtBlanksLinesAndAfterWhatIsNoLetter) {
  //                            0      1     2      3    4    5     6              7        8
  const Words vocabulary = {" Que",           "st", "ion", "\n",       ".",  "7",
                            "\xe2\x96\x81se", "lf", " (",  "\xc3\xa9", "a b"};
  EXPECT_EQ(WordsIn(vocabulary, {{0, 1, 2, 6, 7}}), (Words{"Question/3", "self/2"}));
  EXPECT_EQ(WordsIn(vocabulary, {{1, 3, 1, 2}}), (Words{"st/1", "stion/2"}));
  EXPECT_EQ(WordsIn(vocabulary, {{6, 7, 4, 1, 5, 2, 8, 7}}),
            (Words{"self/2", "st/1", "ion/1", "lf/1"}));
  EXPECT_EQ(WordsIn(vocabulary, {{0, 9, 10, 9}}), (Words{"Qu\x65\xc3\xa9/2", "\xc3\xa9/1"}));
  EXPECT_EQ(WordsIn(vocabulary, {{-1, 0, 99}}), (Words{"Que/1"}));
}

TEST(WordPieces, WordsCutByTheEndOfASequenceAreLeftOut) {
  const Words vocabulary = {" Que", "st", "ion", "."};
  EXPECT_EQ(WordsIn(vocabulary, {{0, 1}, {2, 0, 2}}), (Words{"Queion/2"}));
  EXPECT_EQ(WordsIn(vocabulary, {{0, 1}, {0, 2}}), (Words{"Quest/2", "Queion/2"}));
  // Whether "ion" began in the sequence before cannot be told from a full stop there either; a
  // word after one is whole.
  EXPECT_EQ(WordsIn(vocabulary, {{0, 3}, {3, 2}}), (Words{"Que/1", "ion/1"}));
}

TEST(WordConsistency, CountsATinyCaseByHand) {
  // Words AB alike on 0, AB apart (0, 1), ABB alike on 1; a whole word " A" is not counted.
  const WordPieces pieces({" A", "B"});
  const PlantedRoutes planted =
      Routes({{{{0, 0}, {1, 0}, {0, 0}, {1, 1}}}, {{{0, 1}, {1, 1}, {1, 1}, {0, 0}}}}, 2);
  ThreadPool pool(1);
  const WordCell cell = ComputeWordConsistency(planted.rows, planted.layer, pieces, {}, pool)[0];
  EXPECT_EQ(cell.words, 3);
  EXPECT_EQ(cell.pieces, 7);
  EXPECT_EQ(cell.alike_words, 2);
  // Three of seven pieces on 0, four on 1.
  const double two = (3.0 * 2 + 4.0 * 3) / (7 * 6),
               three = (3.0 * 2 * 1 + 4.0 * 3 * 2) / (7 * 6 * 5);
  EXPECT_NEAR(cell.pieces_null, (2 * two + three) / 3, 1e-12);
  // First places 0 0 1, second 0 1 1, third 1.
  const double first_two = 2.0 / 3 * 1 / 3 + 1.0 / 3 * 2 / 3;
  EXPECT_NEAR(cell.places_null, (2 * first_two + 1.0 / 3 * 2 / 3 * 1) / 3, 1e-12);
  // Document 0 from document 1: " A" 1 0, "B" 1 1. Alike with probability 1/2, twice. ABB from
  // document 0: " A" 0 0, "B" 0 1, both of them needed: never alike.
  EXPECT_DOUBLE_EQ(cell.token_coverage, 1);
  EXPECT_NEAR(cell.token_null, (0.5 + 0.5 + 0) / 3, 1e-12);
  EXPECT_EQ(cell.why_no_interval, "2 units, fewer than 10");
}

TEST(WordConsistency, LeavesWordsWithADroppedPieceOut) {
  const WordPieces pieces({" A", "B"});
  const PlantedRoutes planted = Routes({{{{0, 0}, {1, -1}, {0, 1}, {1, 1}}}}, 2);
  ThreadPool pool(1);
  const WordCell cell = ComputeWordConsistency(planted.rows, planted.layer, pieces, {}, pool)[0];
  EXPECT_EQ(cell.words, 1);
  EXPECT_DOUBLE_EQ(cell.alike, 1);
  EXPECT_DOUBLE_EQ(cell.token_coverage, 0);
  EXPECT_TRUE(std::isnan(cell.token_null));
}

// Words of two pieces out of 20 ids each. With probability `stick` the second piece follows the
// first one's expert.
PlantedRoutes PlantWords(double stick, bool by_token) {
  std::vector<std::vector<Sequence>> documents(200);
  Random random(6);
  for (auto& document : documents) {
    Sequence& sequence = document.emplace_back();
    for (int word = 0; word < 200; ++word) {
      const auto first = static_cast<int32_t>(random.Below(20));
      const auto second = static_cast<int32_t>(20 + random.Below(20));
      const auto expert = static_cast<int16_t>(by_token ? first % 4 : random.Below(4));
      const auto other = static_cast<int16_t>(by_token ? second % 4 : random.Below(4));
      sequence.emplace_back(first, expert);
      sequence.emplace_back(second, random.Uniform() < stick ? expert : other);
    }
  }
  return Routes(documents, 4);
}

WordPieces TwentyAndTwenty() {
  std::vector<std::string> vocabulary;
  for (char c = 'a'; c < 'a' + 20; ++c) vocabulary.push_back(std::string(" ") + c);
  for (char c = 'a'; c < 'a' + 20; ++c) vocabulary.emplace_back(1, c);
  return WordPieces(vocabulary);
}

TEST(PlantedWords, PiecesThatFollowEachOtherAreAlikeAboveEveryNull) {
  const PlantedRoutes planted = PlantWords(0.3, false);
  ThreadPool pool(2);
  const WordCell cell =
      ComputeWordConsistency(planted.rows, planted.layer, TwentyAndTwenty(), {}, pool)[0];
  const double expected = 0.3 + 0.7 / 4;
  const double error = std::sqrt(expected * (1 - expected) / 40000);
  EXPECT_EQ(cell.words, 40000);
  EXPECT_NEAR(cell.alike, expected, 4 * error);
  EXPECT_NEAR(cell.pieces_null, 0.25, 4 * error);
  EXPECT_NEAR(cell.places_null, 0.25, 4 * error);
  EXPECT_NEAR(cell.token_null, 0.25, 4 * error);
  EXPECT_GT(cell.interval->low, cell.pieces_null + 4 * error);
}

TEST(PlantedWords, ARouterThatOnlySeesTheTokenIsExplainedByTheTokenNull) {
  const PlantedRoutes planted = PlantWords(0, true);
  ThreadPool pool(2);
  const WordCell cell =
      ComputeWordConsistency(planted.rows, planted.layer, TwentyAndTwenty(), {}, pool)[0];
  EXPECT_NEAR(cell.token_null, cell.alike_token_covered, 1e-9);
  EXPECT_NEAR(cell.alike, cell.pieces_null, 4 * std::sqrt(0.25 * 0.75 / 40000));
}

TEST(PlantedWords, AWordAskedForShowsItsExpertBesideItsNulls) {
  // "ab" goes to expert 3 as a word, its pieces elsewhere do not.
  PlantedRoutes planted = PlantWords(0, false);
  int64_t occurrences = 0;
  for (int64_t row = 0; row < planted.rows.n_rows(); row += 2) {
    if (planted.rows.token_id[row] != 0 || planted.rows.token_id[row + 1] != 21) continue;
    planted.layer.experts[row] = planted.layer.experts[row + 1] = 3;
    ++occurrences;
  }
  ThreadPool pool(2);
  const auto cells =
      ComputeWordExperts(planted.rows, planted.layer, TwentyAndTwenty(), {"ab", "zz"}, {}, pool);
  ASSERT_EQ(cells.size(), 1u);
  EXPECT_EQ(cells[0].occurrences, occurrences);
  EXPECT_EQ(cells[0].pieces, 2 * occurrences);
  EXPECT_EQ(cells[0].expert, 3);
  EXPECT_DOUBLE_EQ(cells[0].share, 1);
  EXPECT_DOUBLE_EQ(cells[0].alike, 1);
  // One in twenty of each piece's occurrences is this word.
  EXPECT_NEAR(cells[0].token_share, 0.05 + 0.95 * 0.25, 0.03);
  EXPECT_NEAR(cells[0].alike_token_null, 0.29 * 0.29 + 3 * 0.237 * 0.237, 0.03);
  EXPECT_LT(cells[0].iid_share, 0.4);
  EXPECT_GT(cells[0].iid_share, 0.25);
}

}  // namespace
}  // namespace moescope::study
