#include "text/token_decoder.h"

#include "text/byte_alphabet.h"

namespace moescope::text {
namespace {

using Kind = files::DecoderStep::Kind;

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  if (text.find(from) == std::string::npos) return;
  std::string replaced;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string::npos; at = found + from.size()) {
    replaced.append(text, at, found - at).append(to);
  }
  text = replaced.append(text, at);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "<0x0A>", in either case; -1 for any other text.
int ByteOf(const std::string& text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = HexDigit(text[3]), low = HexDigit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace

TokenDecoder::TokenDecoder(const files::Vocabulary& vocabulary) : steps_(vocabulary.decoder) {
  for (const files::DecoderStep& step : steps_) {
    byte_level_ = byte_level_ || step.kind == Kind::kByteLevel;
    byte_fallback_ = byte_fallback_ || step.kind == Kind::kByteFallback;
  }
}

std::string TokenDecoder::Bytes(const std::string& piece) const {
  std::string text = piece;
  if (byte_level_) {
    std::string bytes;
    // A token with other characters, an added one, is its own text.
    return BytesOfSpelling(piece, bytes) ? bytes : text;
  }
  for (const files::DecoderStep& step : steps_) {
    if (step.kind == Kind::kReplace) ReplaceAll(text, step.text, step.replacement);
    if (step.kind == Kind::kMetaspace) ReplaceAll(text, step.text, " ");
  }
  const int byte = byte_fallback_ ? ByteOf(text) : -1;
  return byte < 0 ? text : std::string(1, static_cast<char>(byte));
}

std::string TokenDecoder::NextBytes(const std::string& piece, bool& at_start) const {
  const bool first = at_start;
  std::string bytes = Bytes(piece);
  if (steps_.empty()) {
    at_start = false;
    return first ? bytes : " " + bytes;
  }
  at_start = at_start && bytes.empty();
  for (const files::DecoderStep& step : steps_) {
    if (!first || !step.drops_first) continue;
    if (step.kind == Kind::kMetaspace) {
      // All of them in the first token, whatever it spells.
      at_start = false;
      bytes = piece;
      ReplaceAll(bytes, step.text, "");
    } else if (step.kind == Kind::kStrip && bytes.starts_with(step.text)) {
      bytes.erase(0, step.text.size());
    }
  }
  return bytes;
}

}  // namespace moescope::text
