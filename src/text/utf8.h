// Walking over UTF-8 that may be broken: which bytes form a character, which stand alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moescope::text {

// One step over a text. A byte that starts no well-formed character is a step of its own.
struct Utf8Step {
  uint32_t code_point = 0;
  uint8_t n_bytes = 1;
  bool valid = false;
};

// The character at text[position]. Overlong forms, surrogates and code points past U+10FFFF are
// invalid, one byte at a time. Requires: position < text.size().
inline Utf8Step StepUtf8(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[position + i]); };
  const size_t left = text.size() - position;
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const auto trails = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const auto bits = [&](size_t i) { return static_cast<uint32_t>(byte(i) & 0x3F); };
  if (first < 0xE0) {
    if (first < 0xC2 || left < 2 || !trails(1)) return {};
    return {(first & 0x1F) << 6 | bits(1), 2, true};
  }
  if (first < 0xF0) {
    if (left < 3 || !trails(1) || !trails(2)) return {};
    const uint32_t code = (first & 0x0F) << 12 | bits(1) << 6 | bits(2);
    if (code < 0x800 || (code >= 0xD800 && code < 0xE000)) return {};
    return {code, 3, true};
  }
  if (first > 0xF4 || left < 4 || !trails(1) || !trails(2) || !trails(3)) return {};
  const uint32_t code = (first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3);
  if (code < 0x10000 || code > 0x10FFFF) return {};
  return {code, 4, true};
}

// Position of the first byte that is not well-formed UTF-8, or npos.
inline size_t FindBrokenUtf8(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    if (static_cast<uint8_t>(text[position]) < 0x80) {
      ++position;
      continue;
    }
    const Utf8Step step = StepUtf8(text, position);
    if (!step.valid) return position;
    position += step.n_bytes;
  }
  return std::string_view::npos;
}

// Requires: a code point, no surrogate.
inline void AppendUtf8(uint32_t code_point, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto trail = [&](uint32_t shift) { put(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) return put(0xC0 | code_point >> 6), trail(0);
  if (code_point < 0x10000) return put(0xE0 | code_point >> 12), trail(6), trail(0);
  put(0xF0 | code_point >> 18), trail(12), trail(6), trail(0);
}

// How many bytes at the end of `text` may be the beginning of a character still to be completed.
inline size_t IncompleteTail(std::string_view text) {
  for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const auto byte = static_cast<uint8_t>(text[text.size() - n]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return wanted > n && byte <= 0xF4 && byte >= 0xC2 ? n : 0;
  }
  return 0;
}

}  // namespace moescope::text
