#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "text/test_vocabulary.h"
#include "text/tokenizer.h"

namespace moescope::text {
namespace {

using files::AddedToken;
using files::DecoderStep;
using files::NormaliserStep;
using files::PreTokeniserStep;
using files::Vocabulary;

Encoding Encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  Encoding encoding;
  tokenizer.Encode(text, options, encoding);
  return encoding;
}

using Texts = std::vector<std::string>;

Texts Pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  Texts pieces;
  for (const int32_t id : Encode(tokenizer, text, options).ids) {
    pieces.push_back(tokenizer.TokenText(id));
  }
  return pieces;
}

void ExpectCovers(const Encoding& encoding, size_t n_bytes) {
  uint32_t at = 0;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    ASSERT_EQ(encoding.byte_start[i], at);
    ASSERT_GE(encoding.byte_end[i], at);
    at = encoding.byte_end[i];
  }
  ASSERT_EQ(at, n_bytes);
}

// What the library does word for word: of all pairs the one of the first merge, leftmost first.
std::vector<int32_t> MergeNaively(const Vocabulary& vocabulary, std::vector<int32_t> symbols) {
  while (true) {
    size_t best_merge = vocabulary.merges.size(), best_place = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (size_t m = 0; m < best_merge; ++m) {
        const Vocabulary::Merge& merge = vocabulary.merges[m];
        if (merge.left != symbols[i] || merge.right != symbols[i + 1]) continue;
        best_merge = m;
        best_place = i;
      }
    }
    if (best_merge == vocabulary.merges.size()) return symbols;
    symbols[best_place] = vocabulary.merges[best_merge].merged;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best_place) + 1);
  }
}

TEST(BpeTokenizer, AgreesWithTheNaiveProcedureOnRandomVocabulariesAndTexts) {
  std::mt19937 random(20250301);
  for (int round = 0; round < 200; ++round) {
    const uint32_t n_letters = 1 + random() % 4;
    TestMerges merges;
    Texts texts;
    for (uint32_t i = 0; i < n_letters; ++i) texts.push_back(std::string(1, char('a' + i)));
    for (int i = 0; i < 30; ++i) {
      const std::string left = texts[random() % texts.size()],
                        right = texts[random() % texts.size()];
      if (left.size() + right.size() > 40) continue;
      merges.emplace_back(left, right);
      texts.push_back(left + right);
    }
    // Merges of a pair that is there already count where they come last; the naive procedure has
    // each once.
    std::sort(merges.begin(), merges.end());
    merges.erase(std::unique(merges.begin(), merges.end()), merges.end());
    std::shuffle(merges.begin(), merges.end(), random);
    const Vocabulary vocabulary = MakeByteVocabulary(merges);
    const auto tokenizer = MakeTokenizer(vocabulary);
    for (const size_t n : {1u, 7u, 31u, 48u, 49u, 300u}) {
      std::string text;
      std::vector<int32_t> symbols;
      for (size_t i = 0; i < n; ++i) {
        text.push_back(static_cast<char>('a' + (random() % 5 == 0 ? 0 : random() % n_letters)));
        symbols.push_back(static_cast<uint8_t>(text.back()));
      }
      const Encoding encoding = Encode(*tokenizer, text);
      ASSERT_EQ(encoding.ids, MergeNaively(vocabulary, symbols)) << round << " " << text;
      ExpectCovers(encoding, n);
      ASSERT_EQ(tokenizer->Decode(encoding.ids), text);
    }
  }
}

TEST(BpeTokenizer, RanksPairsNotPieces) {
  // "aaa" is made from a+aa before aa+a, whatever comes first in the text.
  const auto tokenizer =
      MakeTokenizer(MakeByteVocabulary({{"a", "a"}, {"b", "a"}, {"a", "aa"}, {"aa", "a"}}));
  EXPECT_EQ(Pieces(*tokenizer, "aaa"), (Texts{"aaa"}));
  EXPECT_EQ(Pieces(*tokenizer, "aaaaa"), (Texts{"aa", "aaa"}));
}

TEST(BpeTokenizer, TakesWholeWordsWhereMergesAreIgnored) {
  Vocabulary vocabulary = MakeByteVocabulary({{"a", "b"}, {"b", "c"}, {"a", "bc"}});
  EXPECT_EQ(Pieces(*MakeTokenizer(vocabulary), "abc"), (Texts{"ab", "c"}));
  vocabulary.ignore_merges = true;
  EXPECT_EQ(Pieces(*MakeTokenizer(vocabulary), "abc"), (Texts{"abc"}));
}

TEST(BpeTokenizer, MakesUnknownCharactersTheUnknownPiece) {
  Vocabulary vocabulary = MakeCharacterVocabulary({"a", "b"}, {{"a", "b"}});
  EXPECT_EQ(Pieces(*MakeTokenizer(vocabulary),
                   "a\u00e9\u00e8"
                   "b"),
            (Texts{"a", "<unk>", "<unk>", "b"}));
  vocabulary.fuse_unknown = true;
  const auto fused = MakeTokenizer(vocabulary);
  EXPECT_EQ(Pieces(*fused,
                   "a\u00e9\u00e8"
                   "b"),
            (Texts{"a", "<unk>", "b"}));
  EXPECT_EQ(Encode(*fused,
                   "a\u00e9\u00e8"
                   "b")
                .byte_end,
            (std::vector<uint32_t>{1, 5, 6}));
  // Without an unknown piece they are left out, and what was apart merges.
  vocabulary.unknown_id = -1;
  const Encoding left_out = Encode(*MakeTokenizer(vocabulary),
                                   "a\u00e9"
                                   "b\u00e8");
  EXPECT_EQ(left_out.ids.size(), 1u);
  EXPECT_EQ(left_out.byte_end, (std::vector<uint32_t>{6}));
}

TEST(BpeTokenizer, SpellsUnknownCharactersInBytesWhereItHasThem) {
  Vocabulary vocabulary = MakeCharacterVocabulary({"a"}, {});
  vocabulary.byte_fallback = true;
  const char* const digits = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    const char text[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>', '\0'};
    vocabulary.pieces.push_back({text, 0, files::PieceType::kByte});
  }
  vocabulary.decoder.insert(vocabulary.decoder.begin(), DecoderStep())->kind =
      DecoderStep::Kind::kByteFallback;
  const auto tokenizer = MakeTokenizer(vocabulary);
  const std::string text =
      "a\u00e9\xff"
      "a";
  const Encoding encoding = Encode(*tokenizer, text);
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(tokenizer->Decode(encoding.ids), text);
}

TEST(BpeTokenizer, FindsAddedTokensByTheirFlags) {
  const auto with = [](auto set) {
    Vocabulary vocabulary = MakeByteVocabulary({});
    set(AddToken(vocabulary, "tok"));
    return MakeTokenizer(vocabulary);
  };
  const auto plain = with([](AddedToken&) {});
  EXPECT_EQ(Pieces(*plain, "a tokb"), (Texts{"a", "\u0120", "tok", "b"}));
  const auto left = with([](AddedToken& token) { token.lstrip = true; });
  EXPECT_EQ(Pieces(*left, "a \ntokb"), (Texts{"a", "tok", "b"}));
  EXPECT_EQ(Encode(*left, "a \ntokb").byte_end, (std::vector<uint32_t>{1, 6, 7}));
  const auto right = with([](AddedToken& token) { token.rstrip = true; });
  EXPECT_EQ(Pieces(*right, "tok \u00a0\nb"), (Texts{"tok", "b"}));
  const auto word = with([](AddedToken& token) { token.single_word = true; });
  EXPECT_EQ(Pieces(*word, "tok"), (Texts{"tok"}));
  EXPECT_EQ(Pieces(*word, "-tok-").size(), 3u);
  EXPECT_EQ(Pieces(*word, "tok\u00e9").size(), 5u);
  EXPECT_EQ(Pieces(*word, "1tok").size(), 4u);
}

TEST(BpeTokenizer, FindsNormalisedTokensInNormalisedText) {
  Vocabulary vocabulary = MakeByteVocabulary({});
  vocabulary.normaliser.emplace_back().kind = NormaliserStep::Kind::kLowercase;
  AddToken(vocabulary, "Tok").normalized = true;
  AddToken(vocabulary, "Raw");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Pieces(*tokenizer, "TOKtokRawRAW"), (Texts{"Tok", "Tok", "Raw", "r", "a", "w"}));
}

TEST(BpeTokenizer, ReadsSpecialTokensAsTextWhereAsked) {
  Vocabulary vocabulary = MakeByteVocabulary({{"<", "s"}});
  AddedToken& special = AddToken(vocabulary, "<s>");
  special.special = true;
  vocabulary.pieces.back().type = files::PieceType::kControl;
  AddToken(vocabulary, "[T]");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Pieces(*tokenizer, "<s>[T]"), (Texts{"<s>", "[T]"}));
  const EncodeOptions as_text = {Specials::kAsText, SpacePrefix::kByFormat};
  EXPECT_EQ(Pieces(*tokenizer, "<s>[T]", as_text), (Texts{"<s", ">", "[T]"}));
  EXPECT_TRUE(tokenizer->IsControl(Encode(*tokenizer, "<s>").ids[0]));
  EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "a<s>b").ids), "ab");
}

TEST(BpeTokenizer, PutsAPrefixByFormatOrAsAsked) {
  const EncodeOptions on = {Specials::kByFormat, SpacePrefix::kOn};
  const EncodeOptions off = {Specials::kByFormat, SpacePrefix::kOff};
  Vocabulary vocabulary = MakeByteVocabulary({{" ", "a"}});
  const auto plain = MakeTokenizer(vocabulary);
  EXPECT_EQ(Pieces(*plain, "a"), (Texts{"a"}));
  EXPECT_EQ(Pieces(*plain, "a", on), (Texts{"\u0120a"}));
  EXPECT_EQ(Pieces(*plain, " a", on), (Texts{"\u0120a"}));
  EXPECT_EQ(Encode(*plain, "ab", on).byte_end, (std::vector<uint32_t>{1, 2}));
  vocabulary.pre_tokeniser[0].prefix = PreTokeniserStep::Prefix::kAlways;
  const auto prefixed = MakeTokenizer(vocabulary);
  EXPECT_EQ(Pieces(*prefixed, "a"), (Texts{"\u0120a"}));
  EXPECT_EQ(Pieces(*prefixed, "a", off), (Texts{"a"}));
  EXPECT_EQ(plain->Identity(off), plain->Identity());
  EXPECT_NE(plain->Identity(on), plain->Identity());
  EXPECT_EQ(prefixed->Identity(on), prefixed->Identity());
}

Vocabulary MetaspaceVocabulary(PreTokeniserStep::Prefix prefix, bool split) {
  Vocabulary vocabulary = MakeCharacterVocabulary(
      {"\u2581", "a", "b"}, {{"\u2581", "a"}, {"a", "\u2581"}, {"\u2581", "\u2581"}});
  PreTokeniserStep& step = vocabulary.pre_tokeniser.emplace_back();
  step.kind = PreTokeniserStep::Kind::kMetaspace;
  step.pattern = "\u2581";
  step.prefix = prefix;
  step.split = split;
  AddToken(vocabulary, "<s>");
  return vocabulary;
}

TEST(BpeTokenizer, PutsMetaspacesBeforeTextsBySchemeAndCutsThere) {
  using Prefix = PreTokeniserStep::Prefix;
  const auto pieces = [](Prefix prefix, bool split, std::string_view text) {
    return Pieces(*MakeTokenizer(MetaspaceVocabulary(prefix, split)), text);
  };
  EXPECT_EQ(pieces(Prefix::kFirst, false, "a<s>a"), (Texts{"\u2581a", "<s>", "a"}));
  EXPECT_EQ(pieces(Prefix::kAlways, false, "a<s>a"), (Texts{"\u2581a", "<s>", "\u2581a"}));
  EXPECT_EQ(pieces(Prefix::kNever, false, "a<s>a"), (Texts{"a", "<s>", "a"}));
  EXPECT_EQ(pieces(Prefix::kFirst, false, " a"), (Texts{"\u2581a"}));
  // "a\u2581" is a merge, but not across a cut.
  EXPECT_EQ(pieces(Prefix::kNever, false, "a b"), (Texts{"a\u2581", "b"}));
  EXPECT_EQ(pieces(Prefix::kNever, true, "a b"), (Texts{"a", "\u2581", "b"}));
  const Encoding encoding =
      Encode(*MakeTokenizer(MetaspaceVocabulary(Prefix::kFirst, true)), "b  a b");
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{0, 1, 2, 4, 5, 6}));
}

TEST(BpeTokenizer, KeepsTheRangesOfWhatNormalisingChanged) {
  Vocabulary vocabulary = MakeByteVocabulary({});
  vocabulary.normaliser.emplace_back().kind = NormaliserStep::Kind::kNfc;
  const auto tokenizer = MakeTokenizer(vocabulary);
  // Three bytes become two, which share them.
  const Encoding encoding = Encode(*tokenizer, "ae\u0301z");
  EXPECT_EQ(encoding.ids.size(), 4u);
  EXPECT_EQ(encoding.byte_end, (std::vector<uint32_t>{1, 2, 4, 5}));
}

TEST(BpeTokenizer, StopsAfterTheTokensAskedFor) {
  Vocabulary vocabulary = MakeByteVocabulary({{"a", "b"}});
  vocabulary.pre_tokeniser[0].split = true;
  const auto tokenizer = MakeTokenizer(vocabulary);
  std::string text;
  for (int i = 0; i < 20000; ++i) text += i % 7 == 0 ? " ab" : "b 1\n";
  const Encoding all = Encode(*tokenizer, text);
  for (const size_t n : {size_t{0}, size_t{1}, size_t{1000}, all.ids.size(), all.ids.size() + 1}) {
    Encoding some;
    tokenizer->Encode(text, some, n);
    ASSERT_EQ(some.ids.size(), std::min(n, all.ids.size()));
    EXPECT_TRUE(std::equal(some.ids.begin(), some.ids.end(), all.ids.begin()));
    EXPECT_TRUE(std::equal(some.byte_end.begin(), some.byte_end.end(), all.byte_end.begin()));
  }
}

TEST(BpeTokenizer, RefusesTextsOnWhichAnExpressionTakesTooLong) {
  for (const char* expression : {"(?:a|aa)+b|.", "(?:a*+)b|.", "(?:a+)+b|."}) {
    Vocabulary vocabulary = MakeByteVocabulary({});
    PreTokeniserStep split;
    split.pattern = expression;
    split.is_regex = true;
    vocabulary.pre_tokeniser.insert(vocabulary.pre_tokeniser.begin(), split);
    const auto tokenizer = MakeTokenizer(vocabulary);
    EXPECT_EQ(Pieces(*tokenizer, "aab").size(), 3u);
    try {
      Encode(*tokenizer, std::string(100000, 'a'));
      ADD_FAILURE() << expression;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
}

TEST(SentencePieceTokenizer, ReadsControlPiecesAsTokensWhereAsked) {
  const auto tokenizer = MakeTokenizer({{"<"}, {"s"}, {">"}, {"\u2581"}}, kPrefixed);
  const EncodeOptions tokens = {Specials::kRecognised, SpacePrefix::kByFormat};
  EXPECT_EQ(Pieces(*tokenizer, "s<s>s"), (Texts{"\u2581", "s", "<", "s", ">", "s"}));
  EXPECT_EQ(Pieces(*tokenizer, "s<s>s", tokens), (Texts{"\u2581", "s", "<s>", "\u2581", "s"}));
  EXPECT_EQ(Encode(*tokenizer, "s<s>s", tokens).byte_end, (std::vector<uint32_t>{0, 1, 4, 4, 5}));
  const EncodeOptions off = {Specials::kRecognised, SpacePrefix::kOff};
  EXPECT_EQ(Pieces(*tokenizer, "s<s>s", off), (Texts{"s", "<s>", "s"}));
  EXPECT_NE(tokenizer->Identity(tokens), tokenizer->Identity());
}

}  // namespace
}  // namespace moescope::text
