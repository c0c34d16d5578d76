#include "files/sentencepiece_writer.h"

#include <gtest/gtest.h>

#include "files/tiny_model.h"

namespace moescope::files {
namespace {

void ExpectReadBackEqual(const Vocabulary& vocabulary) {
  const Vocabulary read = ParseSentencePieceModel(WriteSentencePieceModel(vocabulary), "written");
  ASSERT_EQ(read.pieces.size(), vocabulary.pieces.size());
  for (size_t id = 0; id < read.pieces.size(); ++id) {
    EXPECT_EQ(read.pieces[id].text, vocabulary.pieces[id].text);
    EXPECT_EQ(read.pieces[id].score, vocabulary.pieces[id].score);
    EXPECT_EQ(read.pieces[id].type, vocabulary.pieces[id].type);
  }
  EXPECT_EQ(read.Identity(), vocabulary.Identity());
  EXPECT_EQ(read.bos_id, vocabulary.bos_id);
  EXPECT_EQ(read.eos_id, vocabulary.eos_id);
}

TEST(SentencePieceWriter, WhatIsWrittenReadsBackEqual) {
  Vocabulary vocabulary = ParseSentencePieceModel(TinyTokenizerModel(), "tiny");
  ExpectReadBackEqual(vocabulary);
  vocabulary.pieces.push_back({std::string(300, 'x'), -1e30f, PieceType::kUserDefined});
  vocabulary.pieces.push_back({"[PAD]", 0, PieceType::kUnused});
  vocabulary.bos_id = -1;
  vocabulary.eos_id = 260;
  vocabulary.add_space_prefix = false;
  vocabulary.remove_extra_whitespaces = true;
  ExpectReadBackEqual(vocabulary);
}

TEST(SentencePieceWriter, AVocabularyWithoutBytesReadsBackEqual) {
  Vocabulary vocabulary;
  vocabulary.pieces = {{"a", 0, PieceType::kNormal}, {"<unk>", 0, PieceType::kUnknown}};
  vocabulary.unknown_id = 1;
  vocabulary.bos_id = vocabulary.eos_id = -1;
  ExpectReadBackEqual(vocabulary);
}

}  // namespace
}  // namespace moescope::files
