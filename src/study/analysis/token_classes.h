// Kinds of tokens that people ask about: indentation, digits, the first word of a line.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// A row may be of several classes.
enum TokenClass {
  kIndentation,   // blanks at the beginning of a line
  kLineBreak,     // holds a line break
  kLineStart,     // the first token of a line that is not blank
  kDigits,        // ASCII digits, after at most one space
  kPunctuation,   // ASCII punctuation, after at most one space
  kCapital,       // begins with an ASCII capital, after at most one space
  kContinuation,  // goes on with a word
  kNonAscii,      // holds a byte above 127
  kTokenClasses,
};

// As in a sentence: "share of <indentation tokens>".
inline constexpr std::array<const char*, kTokenClasses> kTokenClassNames = {
    "indentation tokens", "line breaks",        "first tokens of a line", "digit tokens",
    "punctuation tokens", "capitalised tokens", "word continuations",     "tokens outside ASCII"};

// Classes of each row as bits, [n_rows]. A sequence that does not begin its document begins in the
// middle of a line as far as is known.
//   vocabulary  bytes of each token id, as it continues a text
std::vector<uint8_t> ClassifyRows(const RowColumns& rows,
                                  const std::vector<std::string>& vocabulary);

// Bytes by token id.
std::vector<std::string> LoadVocabularyBytes(store::Database& database);

}  // namespace moescope::study
