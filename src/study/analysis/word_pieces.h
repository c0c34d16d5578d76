// Words put together from tokens, so that it can be asked whether their pieces are routed alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Consecutive rows of one sequence.
struct WordRange {
  int64_t first_row = 0;
  int32_t n_rows = 0;
};

// Which tokens are pieces of words. A word consists of letters (bytes above 127 count as letters);
// it begins with a piece that opens with a blank (or U+2581), at the beginning of a line, or after
// a token that is no piece of a word: digits and punctuation stand apart.
class WordPieces {
 public:
  explicit WordPieces(std::vector<std::string> vocabulary);

  // The words of a document in order. Words that the end of a sequence cuts in two, or may have
  // cut, are left out.
  std::vector<WordRange> WordsOf(const RowColumns& rows, const DocumentRange& document) const;
  // Without the blank before it.
  std::string Text(const RowColumns& rows, const WordRange& word) const;

 private:
  enum Kind : uint8_t { kNoPiece, kBegins, kContinues };
  Kind KindOf(const RowColumns& rows, int64_t row) const;
  std::vector<std::string> letters_;  // by token id, without blanks before them
  std::vector<Kind> kinds_;           // by token id
};

}  // namespace moescope::study
