#include "study/analysis/word_index.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moescope::study {
namespace {

// Documents as lists of pieces; the vocabulary is what appears.
struct Text {
  RowColumns rows;
  std::vector<std::string> vocabulary;

  explicit Text(const std::vector<std::vector<std::string>>& documents) {
    RowColumnsBuilder builder;
    int64_t number = 0;
    for (const auto& document : documents) {
      builder.BeginDocument(number, number % 2 == 0 ? "even" : "odd", "unit");
      ++number;
      builder.BeginSequence();
      int32_t position = 0;
      for (const std::string& piece : document) {
        const auto found = std::find(vocabulary.begin(), vocabulary.end(), piece);
        if (found == vocabulary.end()) vocabulary.push_back(piece);
        const auto at = std::find(vocabulary.begin(), vocabulary.end(), piece);
        builder.AddRow(static_cast<int32_t>(at - vocabulary.begin()), position++, false);
      }
    }
    rows = builder.Finish();
  }
  WordIndex Index(int dataset = -1) const { return WordIndex(rows, vocabulary, dataset); }
};

using Rows = std::vector<int32_t>;

TEST(WordIndex, FindsTheLastPieceOfAWordHoweverItIsCut) {
  const Text text({{"king", " k", "ing", ",", " ki", "n", "g"}, {"\n", "king"}});
  const Occurrences found = text.Index().Find("king");
  EXPECT_EQ(found.rows, (Rows{0, 2, 6, 8}));
  EXPECT_EQ(found.after_space, 2);
}

TEST(WordIndex, KeepsToWordBoundariesAndCase) {
  const Text text({{" king", "dom", " a", "king", " King", " king", "_", " king", "'s", " king",
                    "s", " king", "\xc3\xa9"}});
  EXPECT_EQ(text.Index().Find("king").rows, (Rows{7}));
  EXPECT_EQ(text.Index().Find("King").rows, (Rows{4}));
  EXPECT_EQ(text.Index().Find("kings").rows, (Rows{10}));
}

TEST(WordIndex, LeavesOutWordsWhoseTokensHoldSomethingElse) {
  const Text text({{" king.", " (king", "\xe2\x80\x9c", "king", "\xe2\x80\x9d"}});
  EXPECT_EQ(text.Index().Find("king").rows, (Rows{3}));
}

TEST(WordIndex, FindsPhrasesBetweenBoundaries) {
  const Text text({{" don", "'", "t", " don", "'", "t", "o", " New", " York", " New", " Yorker"}});
  const WordIndex index = text.Index();
  EXPECT_EQ(index.Find("don't").rows, (Rows{2}));
  EXPECT_EQ(index.Find("New York").rows, (Rows{8}));
}

TEST(WordIndex, WordsDoNotReachOverDocuments) {
  const Text text({{" ki"}, {"ng", " king"}});
  EXPECT_EQ(text.Index().Find("king").rows, (Rows{2}));
}

TEST(WordIndex, FindsTokensByNumber) {
  const Text text({{" a", " b", " a"}, {" a"}});
  EXPECT_EQ(text.Index().Find("#0").rows, (Rows{0, 2, 3}));
  EXPECT_EQ(text.Index().Find("#0").after_space, 3);
  EXPECT_THROW(text.Index().Find("#7"), Error);
}

TEST(WordIndex, KeepsToOneDataset) {
  const Text text({{" a", " b"}, {" a"}, {" a"}});
  EXPECT_EQ(text.Index(0).Find("a").rows, (Rows{0, 3}));
  EXPECT_EQ(text.Index(1).Find("a").rows, (Rows{2}));
  EXPECT_THROW(text.Index(1).Find("b"), Error);
}

TEST(WordIndex, NamesNearSpellings) {
  const Text text({{" king", " king", " ring", " KING", " queen", " kings"}});
  try {
    text.Index().Find("kinng");
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    const std::string message = error.what();
    EXPECT_NE(message.find("near spellings are king (2), kings (1), ring (1);"), std::string::npos)
        << message;
  }
  const WordIndex index = text.Index();
  ASSERT_EQ(index.Near("King", 1).size(), 1u);
  EXPECT_EQ(index.word(index.Near("King", 1)[0]), "king");
  EXPECT_TRUE(index.Near("elephant", 5).empty());
}

// Token bytes come from a file: long ones break the text off instead of filling memory, unknown ids
// and invalid UTF-8 are no words.
TEST(WordIndex, BreaksOffAtWhatCannotBeSpelled) {
  const std::string huge(kMaxSpelledBytes + 1, 'x');
  Text text({{" ab", huge, "cd", "\xff\xc3", " ef"}});
  text.rows.token_id.push_back(99);
  ++text.rows.documents[0].n_rows;
  const WordIndex index = text.Index();
  EXPECT_EQ(index.size(), 3);
  EXPECT_EQ(index.Find("ab").rows, (Rows{0}));
  EXPECT_EQ(index.Find("cd").rows, (Rows{2}));
  EXPECT_EQ(index.Find("ef").rows, (Rows{4}));
}

}  // namespace
}  // namespace moescope::study
