#include "text/pattern_scanner.h"

#include <array>

#include "files/vocabulary.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using enum CharacterClass;

constexpr std::array<CharacterClass, 128> kAscii = [] {
  std::array<CharacterClass, 128> kinds{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    kinds[static_cast<size_t>(c)] = letter                 ? kLetter
                                    : space                ? kSpace
                                    : c >= '0' && c <= '9' ? kNumber
                                                           : kOther;
  }
  return kinds;
}();

bool IsNewline(char c) {
  return c == '\n' || c == '\r';
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Bytes of 's, 't, 're, 've, 'm, 'll or 'd at `at`, 0 for none. U+017F is an s where case does not
// matter. Requires: an apostrophe at `at`.
size_t Contraction(std::string_view text, size_t at, bool any_case) {
  const auto letter = [&](size_t i) {
    const char c = at + i < text.size() ? text[at + i] : '\0';
    return any_case ? Lower(c) : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  if (any_case && text.substr(at + 1, 2) == "\xC5\xBF") return 3;
  return 0;
}

}  // namespace

KnownPattern FindKnownPattern(const std::string& expression) {
  if (expression == files::kGpt2Pattern) return KnownPattern::kGpt2;
  if (expression == files::kLlama3Pattern) return KnownPattern::kLlama3;
  if (expression == files::kQwen2Pattern) return KnownPattern::kQwen2;
  return KnownPattern::kNone;
}

PatternScanner::Character PatternScanner::CharacterAt(std::string_view text, size_t at) const {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 128) return {kAscii[byte], at + 1};
  const Utf8Step step = StepUtf8(text, at);
  return {step.valid ? classes_.Of(step.code_point) : kOther, at + step.n_bytes};
}

size_t PatternScanner::EndOfRun(std::string_view text, size_t at, CharacterClass kind) const {
  while (at < text.size()) {
    const Character character = CharacterAt(text, at);
    if (character.kind != kind) break;
    at = character.end;
  }
  return at;
}

size_t PatternScanner::EndOfNumbers(std::string_view text, size_t at, int n) const {
  for (; n > 0 && at < text.size(); --n) {
    const Character character = CharacterAt(text, at);
    if (character.kind != kNumber) break;
    at = character.end;
  }
  return at;
}

// A run of white space leaves its last character to what follows, unless it is the only one or
// nothing follows. Where newlines count, a part ends behind the last of them.
size_t PatternScanner::EndOfSpaces(std::string_view text, size_t at, bool cut_at_newlines) const {
  size_t end = at, last = at, after_newline = at;
  while (end < text.size()) {
    const Character character = CharacterAt(text, end);
    if (character.kind != kSpace) break;
    if (IsNewline(text[end])) after_newline = character.end;
    last = end;
    end = character.end;
  }
  if (cut_at_newlines && after_newline > at) return after_newline;
  return end == text.size() || last == at ? end : last;
}

size_t PatternScanner::EndForGpt2(std::string_view text, size_t at) const {
  if (text[at] == '\'') {
    const size_t n = Contraction(text, at, /*any_case=*/false);
    if (n > 0) return at + n;
  }
  Character first = CharacterAt(text, at);
  if (text[at] == ' ' && first.end < text.size()) {
    const Character next = CharacterAt(text, first.end);
    if (next.kind != kSpace) first = next;
  }
  if (first.kind == kSpace) return EndOfSpaces(text, at, /*cut_at_newlines=*/false);
  return EndOfRun(text, first.end, first.kind);
}

size_t PatternScanner::EndForLlama3(std::string_view text, size_t at) const {
  if (text[at] == '\'') {
    const size_t n = Contraction(text, at, /*any_case=*/true);
    if (n > 0) return at + n;
  }
  const Character first = CharacterAt(text, at);
  if (first.kind == kLetter) return EndOfRun(text, first.end, kLetter);
  if (first.kind == kNumber) {
    return EndOfNumbers(text, first.end, pattern_ == KnownPattern::kLlama3 ? 2 : 0);
  }
  const bool has_next = first.end < text.size();
  const Character next = has_next ? CharacterAt(text, first.end) : Character{kSpace, first.end};
  if (next.kind == kLetter && !IsNewline(text[at])) return EndOfRun(text, next.end, kLetter);
  size_t end = 0;
  if (first.kind == kOther) {
    end = EndOfRun(text, first.end, kOther);
  } else if (text[at] == ' ' && next.kind == kOther) {
    end = EndOfRun(text, next.end, kOther);
  } else {
    return EndOfSpaces(text, at, /*cut_at_newlines=*/true);
  }
  while (end < text.size() && IsNewline(text[end])) ++end;
  return end;
}

}  // namespace moescope::text
