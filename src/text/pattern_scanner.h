// The split expressions that nearly all byte-level vocabularies use, by hand: one pass, no going
// back over a text, and the same cuts as the expressions make.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/unicode_classes.h"

namespace moescope::text {

enum class KnownPattern : uint8_t { kNone, kGpt2, kLlama3, kQwen2 };

// kNone for an expression that is not one of them, letter for letter.
KnownPattern FindKnownPattern(const std::string& expression);

// A byte that is no part of a character counts as a character that is no letter, number or space.
class PatternScanner {
 public:
  // Requires: not kNone.
  explicit PatternScanner(KnownPattern pattern)
      : pattern_(pattern), classes_(UnicodeClasses::Get()) {}

  // End of the part that begins at `at`: these expressions match at every place.
  // Requires: at < text.size().
  size_t EndOfPart(std::string_view text, size_t at) const {
    return pattern_ == KnownPattern::kGpt2 ? EndForGpt2(text, at) : EndForLlama3(text, at);
  }

 private:
  struct Character {
    CharacterClass kind;
    size_t end;
  };
  Character CharacterAt(std::string_view text, size_t at) const;
  // End of the characters of one class from `at` on.
  size_t EndOfRun(std::string_view text, size_t at, CharacterClass kind) const;
  // End of at most `n` numbers.
  size_t EndOfNumbers(std::string_view text, size_t at, int n) const;
  size_t EndOfSpaces(std::string_view text, size_t at, bool cut_at_newlines) const;
  size_t EndForGpt2(std::string_view text, size_t at) const;
  size_t EndForLlama3(std::string_view text, size_t at) const;

  KnownPattern pattern_;
  const UnicodeClasses& classes_;
};

}  // namespace moescope::text
