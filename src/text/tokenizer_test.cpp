#include "text/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/merge_table.h"
#include "text/merger.h"
#include "text/test_vocabulary.h"

namespace moescope::text {
namespace {

using files::PieceType;
using files::Vocabulary;

Encoding Encode(const Tokenizer& tokenizer, std::string_view text) {
  Encoding encoding;
  tokenizer.Encode(text, encoding);
  return encoding;
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  for (const int32_t id : Encode(tokenizer, text).ids) pieces.push_back(tokenizer.TokenText(id));
  return pieces;
}

using Texts = std::vector<std::string>;

TEST(SentencePieceTokenizer, MergesTheBestScoreFirst) {
  // "ab" outranks "bc": abc is ab + c, though bc would match further on.
  const auto tokenizer = MakeTokenizer({{"a"}, {"b"}, {"c"}, {"ab", -1}, {"bc", -2}}, kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "abc"), (Texts{"ab", "c"}));
  EXPECT_EQ(Pieces(*tokenizer, "cbcab"), (Texts{"c", "bc", "ab"}));
}

TEST(SentencePieceTokenizer, MergesTheLeftmostOfEqualScores) {
  const auto tokenizer = MakeTokenizer({{"a"}, {"b"}, {"aa", -1}, {"ab", -1}}, kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "aaa"), (Texts{"aa", "a"}));
  EXPECT_EQ(Pieces(*tokenizer, "aab"), (Texts{"aa", "b"}));
}

TEST(SentencePieceTokenizer, MergesThroughTextThatIsNoPieceByItself) {
  // Neither x nor y is a piece; xy is, and merging goes by text.
  const auto tokenizer = MakeTokenizer({{"xy", -1}}, kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "xy"), (Texts{"xy"}));
  EXPECT_EQ(Pieces(*tokenizer, "yx"), (Texts{"<0x79>", "<0x78>"}));
}

TEST(SentencePieceTokenizer, PutsADummyPrefixThatCoversNothing) {
  const auto tokenizer = MakeTokenizer({{"\u2581"}, {"a"}, {"\u2581a", -1}}, kPrefixed);
  const Encoding joined = Encode(*tokenizer, "a");
  EXPECT_EQ(joined.ids.size(), 1u);
  EXPECT_EQ(joined.byte_end[0], 1u);
  const Encoding alone = Encode(*tokenizer, "\n");
  ASSERT_EQ(alone.ids.size(), 2u);
  EXPECT_EQ(alone.byte_end[0], 0u);
  EXPECT_EQ(alone.byte_end[1], 1u);
  EXPECT_TRUE(Encode(*tokenizer, "").ids.empty());
}

TEST(SentencePieceTokenizer, ReadsALiteralMetaSpaceAsASpace) {
  const auto tokenizer = MakeTokenizer({{"\u2581"}, {"a"}, {"\u2581a", -1}}, kPlain);
  const Encoding encoding = Encode(*tokenizer, "\u2581a a");
  EXPECT_EQ(encoding.ids[0], encoding.ids[1]);
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{4, 6}));
  EXPECT_EQ(tokenizer->Decode(encoding.ids), " a a");
}

TEST(SentencePieceTokenizer, CutsOutUserDefinedPiecesLongestFirst) {
  const auto tokenizer = MakeTokenizer({{"a"},
                                        {"b"},
                                        {"ab", -1},
                                        {"ba", 0, PieceType::kUserDefined},
                                        {"bab", 0, PieceType::kUserDefined}},
                                       kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "abaab"), (Texts{"a", "ba", "ab"}));
  EXPECT_EQ(Pieces(*tokenizer, "babab"), (Texts{"bab", "ab"}));
}

TEST(SentencePieceTokenizer, NeverMatchesControlOrBytePiecesInText) {
  const auto tokenizer = MakeTokenizer({{"<"}, {"s"}, {">"}}, kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "<s>"), (Texts{"<", "s", ">"}));
  EXPECT_EQ(Pieces(*tokenizer, "<0x41>").size(), 6u);
}

TEST(SentencePieceTokenizer, JoinsRunsOfUnknownCharactersWithoutBytePieces) {
  const auto tokenizer = MakeTokenizer({{"a"}}, kNoBytes);
  const Encoding encoding = Encode(*tokenizer,
                                   "a\u00e9\u00e8"
                                   "a\xff");
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{1, 5, 6, 7}));
  EXPECT_EQ(encoding.ids[1], 0);
  EXPECT_EQ(encoding.ids[3], 0);
}

TEST(SentencePieceTokenizer, TakesUnusedPiecesApartAgain) {
  const auto tokenizer = MakeTokenizer(
      {{"a"}, {"b"}, {"c"}, {"ab", -1, PieceType::kUnused}, {"abc", -2, PieceType::kUnused}},
      kPlain);
  EXPECT_EQ(Pieces(*tokenizer, "abcab"), (Texts{"a", "b", "c", "a", "b"}));
}

TEST(SentencePieceTokenizer, KeepsBrokenBytesAndTheirPlaces) {
  const auto tokenizer = MakeTokenizer({{"\u2581"}, {"a"}, {"\u00e9"}}, kPrefixed);
  const std::string text =
      "a\xC3"
      "a\xC3\xA9\xF0\x9F\x98"
      "a\xED\xA0\x80\xFF";
  const Encoding encoding = Encode(*tokenizer, text);
  EXPECT_EQ(tokenizer->Decode(encoding.ids), text);
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13}));
}

TEST(SentencePieceTokenizer, RemovesExtraSpacesWhereTheModelSaysSo) {
  Vocabulary vocabulary = MakeVocabulary({{"\u2581"}, {"a"}, {"b"}, {"\u2581a", -1}}, kPrefixed);
  vocabulary.remove_extra_whitespaces = true;
  const auto tokenizer = MakeTokenizer(std::make_shared<Vocabulary>(std::move(vocabulary)));
  const Encoding encoding = Encode(*tokenizer, "  a   b  ");
  EXPECT_EQ(Pieces(*tokenizer, "  a   b  "), (Texts{"\u2581a", "\u2581", "b"}));
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{3, 4, 9}));
  EXPECT_TRUE(Pieces(*tokenizer, "   ").empty());
}

TEST(SentencePieceTokenizer, RefusesPiecesBeyondItsLimits) {
  const std::string longest(512, 'a');
  EXPECT_EQ(Pieces(*MakeTokenizer({{"a"}, {longest}}, kPlain), "aa").size(), 2u);
  for (const PieceType type : {PieceType::kNormal, PieceType::kUserDefined}) {
    EXPECT_THROW(MakeTokenizer({{longest + "a", 0, type}}, kPlain), Error);
  }
  std::vector<TestPiece> many;
  for (int i = 0; i < 8300; ++i) {
    many.push_back({fmt::format("{:0>512}", i), 0, PieceType::kUserDefined});
  }
  EXPECT_THROW(MakeTokenizer(many, kPlain), Error);
}

TEST(SentencePieceTokenizer, RefusesIdsOutsideTheVocabulary) {
  const auto tokenizer = MakeTokenizer({{"a"}}, kPlain);
  EXPECT_THROW(tokenizer->Decode({tokenizer->vocab_size()}), Error);
  EXPECT_THROW(tokenizer->TokenBytes(-1), Error);
}

TEST(StreamingDecoder, HoldsBackIncompleteCharactersAndReplacesBrokenOnes) {
  const auto tokenizer = MakeTokenizer({{"\u2581"}, {"a"}}, kPrefixed);
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(1), "");  // BOS
  std::vector<std::string> parts;
  for (const int32_t id : Encode(*tokenizer,
                                 "a\u00e9\xF0\x9F"
                                 "a\xE2")
                              .ids) {
    parts.push_back(decoder.Push(id));
  }
  EXPECT_EQ(parts, (Texts{"", "a", "", "\u00e9", "", "", "\uFFFD\uFFFDa", ""}));
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
}

// SentencePiece's procedure word for word, quadratic: every step looks for the best pair.
std::vector<int32_t> MergeNaively(const MergeTable& table, std::vector<int32_t> symbols) {
  while (true) {
    size_t best = 0;
    int32_t merged = MergeTable::kNone;
    uint32_t rank = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      if (symbols[i] < 0 || symbols[i + 1] < 0) continue;
      const PairTable::Found candidate = table.pairs().Find(symbols[i], symbols[i + 1]);
      if (candidate.merged == MergeTable::kNone) continue;
      if (merged != MergeTable::kNone && candidate.rank >= rank) continue;
      best = i;
      merged = candidate.merged;
      rank = candidate.rank;
    }
    if (merged == MergeTable::kNone) return symbols;
    symbols[best] = merged;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(Merger, AgreesWithTheNaiveProcedureOnRandomVocabulariesAndTexts) {
  std::mt19937 random(20250101);
  for (int round = 0; round < 300; ++round) {
    const uint32_t n_letters = 1 + random() % 4;
    std::vector<TestPiece> pieces;
    std::vector<std::string> texts;
    for (uint32_t i = 0; i < n_letters; ++i) texts.push_back(std::string(1, char('a' + i)));
    for (const std::string& text : texts) pieces.push_back({text});
    // Every third vocabulary has few distinct scores: ties go to the left.
    const int n_scores = round % 3 == 0 ? 3 : 1000000;
    for (int i = 0; i < 40; ++i) {
      const std::string text = texts[random() % texts.size()] + texts[random() % texts.size()];
      if (text.size() > 16 || std::find(texts.begin(), texts.end(), text) != texts.end()) continue;
      texts.push_back(text);
      pieces.push_back({text, -static_cast<float>(random() % n_scores)});
    }
    const Vocabulary vocabulary = MakeVocabulary(pieces, kPlain);
    const MergeTable table(vocabulary);
    Merger merger(table);
    for (const size_t n : {2u, 7u, 48u, 49u, 200u, 700u}) {
      std::vector<int32_t> symbols;
      for (size_t i = 0; i < n; ++i) {
        const bool barrier = random() % 97 == 0;
        const uint32_t letter = random() % 5 == 0 ? 0 : random() % n_letters;
        symbols.push_back(barrier ? MergeTable::kNone : table.CharacterSymbol('a' + letter));
      }
      const std::vector<int32_t> expected = MergeNaively(table, symbols);
      merger.Merge(symbols);
      ASSERT_EQ(symbols, expected) << "round " << round << ", length " << n;
    }
  }
}

TEST(Merger, LooksAtFewPairsPerCharacterHoweverLongTheRun) {
  std::vector<TestPiece> pieces = {{"a"}, {"b"}};
  for (int length = 2; length <= 64; ++length) {
    pieces.push_back({std::string(static_cast<size_t>(length), 'a'), -static_cast<float>(length)});
  }
  pieces.push_back({"ab", -0.5f});
  const Vocabulary vocabulary = MakeVocabulary(pieces, kPlain);
  const MergeTable table(vocabulary);
  for (const size_t n : {1000u, 100000u, 200000u}) {
    Merger merger(table);
    std::vector<int32_t> symbols(n, table.CharacterSymbol('a'));
    for (size_t i = 0; i < n; i += 1001) symbols[i] = table.CharacterSymbol('b');
    merger.Merge(symbols);
    // Each pair is proposed once at the start and at most twice per merge, and taken at most once.
    EXPECT_LE(merger.n_steps(), 6 * n);
    EXPECT_LT(symbols.size(), n / 30);
  }
}

TEST(SentencePieceTokenizer, GivesTheSameInWordsAsInOneRun) {
  // The word cache and cutting into words must not show: a text and its words agree with the naive
  // procedure over the whole text.
  std::mt19937 random(7);
  const std::vector<TestPiece> pieces = {{"\u2581"},
                                         {"a"},
                                         {"b"},
                                         {"c"},
                                         {"\u00e9"},
                                         {"\u2581a", -1},
                                         {"ab", -2},
                                         {"bc", -3},
                                         {"\u2581\u2581", -4},
                                         {"\u00e9a", -5},
                                         {"\u2581ab", -6},
                                         {"abc", -7},
                                         {"\u2581\u2581\u2581\u2581", -8},
                                         {"c\u00e9", -9}};
  const Vocabulary vocabulary = MakeVocabulary(pieces, kPlain);
  const MergeTable table(vocabulary);
  const auto tokenizer = MakeTokenizer(std::make_shared<Vocabulary>(vocabulary));
  const std::vector<std::string> letters = {" ", " ", "a", "b", "c", "\u00e9", "\u2581"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    std::vector<int32_t> symbols;
    for (size_t i = random() % 120; i > 0; --i) {
      const std::string& letter = letters[random() % letters.size()];
      text += letter;
      symbols.push_back(table.CharacterSymbol(letter == "\u00e9"                    ? 0xE9u
                                              : letter == " " || letter == "\u2581" ? 0x2581u
                                                                                    : letter[0]));
    }
    ASSERT_EQ(Encode(*tokenizer, text).ids, MergeNaively(table, symbols)) << text;
  }
}

// Random words and runs, some far longer than anything the encoder handles in one piece.
std::string LongText(uint32_t seed) {
  std::mt19937 random(seed);
  const std::string letters[] = {" ", "a", "b", "c", "\u00e9", "ba", "\xff", "x", "\n"};
  std::string text;
  while (text.size() < 200000) {
    const size_t n = random() % 50 == 0 ? 5000 : 1 + random() % 8;
    const bool run = random() % 4 == 0;
    const std::string* letter = &letters[random() % std::size(letters)];
    for (size_t i = 0; i < n; ++i) {
      if (!run) letter = &letters[random() % std::size(letters)];
      text += *letter;
    }
  }
  return text;
}

const std::vector<TestPiece> kSomePieces = {{"\u2581"},
                                            {"a"},
                                            {"b"},
                                            {"c"},
                                            {"\u2581a", -1},
                                            {"ab", -2},
                                            {"aa", -3},
                                            {"bb", -4},
                                            {"aaaa", -5},
                                            {"\u2581\u2581", -6},
                                            {"ba", 0, PieceType::kUserDefined}};

TEST(SentencePieceTokenizer, PutsADummyPrefixBeforeALongTextAsBeforeAShortOne) {
  const auto prefixed = MakeTokenizer(kSomePieces, kPrefixed);
  const auto plain = MakeTokenizer(kSomePieces, kPlain);
  for (uint32_t seed = 0; seed < 8; ++seed) {
    // Seed 0: the first word has no end within reach.
    const std::string text = seed == 0 ? std::string(300000, 'a') : LongText(seed);
    const Encoding found = Encode(*prefixed, text);
    const Encoding expected = Encode(*plain, " " + text);
    ASSERT_EQ(found.ids, expected.ids) << seed;
    for (size_t i = 0; i < found.ids.size(); ++i) {
      ASSERT_EQ(found.byte_end[i] + 1, expected.byte_end[i]) << seed << " " << i;
    }
    EXPECT_EQ(found.byte_end.back(), text.size());
  }
}

TEST(SentencePieceTokenizer, StopsAfterTheTokensAskedFor) {
  const auto tokenizer = MakeTokenizer(kSomePieces, {.prefix = true, .bytes = false});
  const std::string text = LongText(99);
  const Encoding all = Encode(*tokenizer, text);
  for (const size_t n :
       {size_t{0}, size_t{1}, size_t{7}, size_t{30000}, all.ids.size(), all.ids.size() + 5}) {
    Encoding some;
    tokenizer->Encode(text, some, n);
    const size_t kept = std::min(n, all.ids.size());
    ASSERT_EQ(some.ids.size(), kept);
    EXPECT_TRUE(std::equal(some.ids.begin(), some.ids.end(), all.ids.begin()));
    EXPECT_TRUE(std::equal(some.byte_end.begin(), some.byte_end.end(), all.byte_end.begin()));
  }
}

}  // namespace
}  // namespace moescope::text
