// Which characters are letters, numbers, white space: what split expressions ask. The answers are
// those of Unicode 16 whatever version ICU has, so that ids depend on no machine.
#pragma once

#include <cstdint>
#include <vector>

namespace moescope::text {

enum class CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };

// Immutable and thread-safe.
class UnicodeClasses {
 public:
  // Built at the first call, in some milliseconds.
  static const UnicodeClasses& Get();

  // \p{L}, \p{N}, \s. Requires: code_point <= 0x10FFFF.
  CharacterClass Of(uint32_t code_point) const {
    return cells_[pages_[code_point >> 8] * 256u + (code_point & 255)];
  }
  bool IsSpace(uint32_t code_point) const { return Of(code_point) == CharacterClass::kSpace; }
  // What Digits splits at: \p{N} as of Unicode 17.
  bool IsNumeric(uint32_t code_point) const;
  // What single_word asks: letters, marks, decimal digits, connectors.
  bool IsWord(uint32_t code_point) const;

 private:
  UnicodeClasses();

  std::vector<uint16_t> pages_;  // of 256 code points; equal ones are shared
  std::vector<CharacterClass> cells_;
};

}  // namespace moescope::text
