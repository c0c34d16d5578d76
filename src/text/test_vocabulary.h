// Small vocabularies for tests.
#pragma once

#include <memory>
#include <string>
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

}  // namespace moescope::text
