// Small vocabularies for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "files/vocabulary.h"
#include "text/tokenizer.h"

namespace moescope::text {

struct TestPiece {
  std::string text;
  float score = 0;
  files::PieceType type = files::PieceType::kNormal;
};

struct TestFlags {
  bool prefix;
  bool bytes;
};
constexpr TestFlags kPlain = {false, true};
constexpr TestFlags kPrefixed = {true, true};
constexpr TestFlags kNoBytes = {false, false};

// <unk>, <s>, </s>, 256 byte pieces if asked for, then `pieces`.
files::Vocabulary MakeVocabulary(const std::vector<TestPiece>& pieces, TestFlags flags);
std::unique_ptr<Tokenizer> MakeTokenizer(const std::vector<TestPiece>& pieces, TestFlags flags);

// A BPE vocabulary: its first symbols, then what the merges make, each given as left and right.
using TestMerges = std::vector<std::pair<std::string, std::string>>;
// Byte level: all 256 bytes, merges spelled in bytes; no cuts, no prefix.
files::Vocabulary MakeByteVocabulary(const TestMerges& merges);
// Of characters, without normaliser; <unk> is piece 0.
files::Vocabulary MakeCharacterVocabulary(const std::vector<std::string>& characters,
                                          const TestMerges& merges);
// Adds a piece that is found in texts. Returns the token for its flags to be set.
files::AddedToken& AddToken(files::Vocabulary& vocabulary, const std::string& text);
std::unique_ptr<Tokenizer> MakeTokenizer(files::Vocabulary vocabulary);

}  // namespace moescope::text
