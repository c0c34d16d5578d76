// A template's source to tokens, with jinja2's rules for white space around tags (trim_blocks and
// lstrip_blocks on, as chat templates expect).
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::text::jinja {

enum class TokenKind : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string_view text;  // data, name, operator; of a string, what it stands for
  union {
    int64_t integer = 0;
    double number;
  };
};

// Newlines as LF, without the last one: what Tokenise takes.
std::string NormaliseSource(std::string_view source);

// The tokens view `source` and `strings`, to which texts with escapes are added.
// Throws Error(kBadInput) and Error(kUnsupported) naming the line.
std::vector<Token> Tokenise(std::string_view source, std::string_view origin,
                            std::deque<std::string>& strings);

}  // namespace moescope::text::jinja
