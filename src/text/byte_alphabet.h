// The alphabet in which byte-level vocabularies spell bytes: printable characters stand for
// themselves, the others for the characters from U+0100 on. Source: encoder.py of GPT-2.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/utf8.h"

namespace moescope::text {

// The character of each byte.
inline constexpr std::array<uint16_t, 256> kByteAlphabet = [] {
  std::array<uint16_t, 256> characters{};
  uint16_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    characters[byte] = itself ? static_cast<uint16_t>(byte) : next++;
  }
  return characters;
}();

// The byte of a character, -1 for one that stands for none.
inline int ByteOfCharacter(uint32_t code_point) {
  static constexpr std::array<int16_t, 512> kBytes = [] {
    std::array<int16_t, 512> bytes{};
    for (int16_t& byte : bytes) byte = -1;
    for (int byte = 0; byte < 256; ++byte) {
      bytes[kByteAlphabet[static_cast<size_t>(byte)]] = static_cast<int16_t>(byte);
    }
    return bytes;
  }();
  return code_point < kBytes.size() ? kBytes[code_point] : -1;
}

// The bytes a piece spells. False if a character stands for no byte.
inline bool BytesOfSpelling(std::string_view piece, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < piece.size();) {
    const Utf8Step step = StepUtf8(piece, at);
    const int byte = step.valid ? ByteOfCharacter(step.code_point) : -1;
    if (byte < 0) return false;
    bytes.push_back(static_cast<char>(byte));
    at += step.n_bytes;
  }
  return true;
}

}  // namespace moescope::text
