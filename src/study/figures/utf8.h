// UTF-8 one character at a time, for display: never fails, says what is invalid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace moescope::study {

struct Character {
  uint32_t code = 0xfffd;
  size_t n_bytes = 1;  // of the text; 1 for an invalid byte
  bool valid = false;
};

// The character that begins at text[at]. Overlong forms, surrogates and values above U+10FFFF are
// invalid. Requires: at < text.size().
Character NextCharacter(std::string_view text, size_t at);

// Requires: a code point.
void AppendUtf8(uint32_t code, std::string& out);

}  // namespace moescope::study
