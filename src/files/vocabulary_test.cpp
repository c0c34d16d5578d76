#include "files/vocabulary.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

ErrorKind KindOf(const std::string& bytes) {
  try {
    ParseSentencePieceModel(bytes, "tokenizer.model");
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "accepted";
  return ErrorKind::kInternal;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(SentencePieceModel, ReadsPiecesScoresTypesAndFlags) {
  Vocabulary vocabulary = ParseSentencePieceModel(TinyTokenizerModel(), "tokenizer.model");
  ASSERT_EQ(vocabulary.pieces.size(), 261u);
  EXPECT_EQ(vocabulary.pieces[13].text, "<0x0A>");
  EXPECT_EQ(vocabulary.pieces[13].type, PieceType::kByte);
  EXPECT_EQ(vocabulary.pieces[260].text, "b");
  EXPECT_EQ(vocabulary.pieces[260].score, -1);
  EXPECT_EQ(vocabulary.unknown_id, 0);
  EXPECT_EQ(vocabulary.bos_id, 1);
  EXPECT_EQ(vocabulary.eos_id, 2);
  EXPECT_TRUE(vocabulary.add_space_prefix);
  EXPECT_FALSE(vocabulary.remove_extra_whitespaces);
}

TEST(SentencePieceModel, IdentityFollowsEveryPart) {
  Vocabulary vocabulary = ParseSentencePieceModel(TinyTokenizerModel(), "a");
  std::string identity = vocabulary.Identity();
  Vocabulary other = vocabulary;
  other.pieces[260].score = -2;
  EXPECT_NE(other.Identity(), identity);
  other = vocabulary;
  other.add_space_prefix = false;
  EXPECT_NE(other.Identity(), identity);
}

TEST(SentencePieceModel, RefusesOtherKindsOfModel) {
  std::string model = TinyTokenizerModel();
  // model_type (field 3 of the trainer, before vocab_size 261): unigram.
  EXPECT_EQ(
      KindOf(Replaced(model, std::string("\x18\x02\x20\x85"), std::string("\x18\x01\x20\x85"))),
      ErrorKind::kUnsupported);
}

TEST(SentencePieceModel, RefusesVocabulariesThatCannotWork) {
  std::string model = TinyTokenizerModel();
  EXPECT_EQ(KindOf(Replaced(model, "<0x41>", "<0x42>")), ErrorKind::kCorrupt);  // a byte twice
  EXPECT_EQ(KindOf(Replaced(model, "<0x41>", "<0xZZ>")), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(Replaced(model, "a\x15", "b\x15")), ErrorKind::kCorrupt);     // a piece twice
  EXPECT_EQ(KindOf(Replaced(model, "a\x15", "\xff\x15")), ErrorKind::kCorrupt);  // not UTF-8
  EXPECT_EQ(KindOf(""), ErrorKind::kCorrupt);
}

TEST(SentencePieceModel, RefusesEveryTruncation) {
  std::string model = TinyTokenizerModel();
  for (size_t size = 0; size < model.size(); ++size) {
    EXPECT_THROW(ParseSentencePieceModel(model.substr(0, size), "tokenizer.model"), Error) << size;
  }
}

}  // namespace
}  // namespace moescope::files
