// Tokenising random bytes with a vocabulary that the first bytes choose: ranges cover the text, and
// decoding gives it back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/vocabulary.h"
#include "text/tokenizer.h"

namespace {

using moescope::files::PieceType;
using moescope::files::Vocabulary;
using moescope::text::Encoding;
using moescope::text::StreamingDecoder;
using moescope::text::Tokenizer;

constexpr std::string_view kMetaSpace = "\xE2\x96\x81";
const char* const kTexts[] = {
    "\u2581",        "a",       "b",  "c",    "\u00e9",  "\u4e2d",       "\u0301", "\n",
    "\u2581\u2581",  "ab",      "aa", "aaa",  "abc",     "bc",           "ca",     "\u2581a",
    "\u2581\u2581a", "e\u0301", "ba", "aaaa", "c\u2581", "\u4e2d\u4e2d", "aab",    "\u00e9\u00e9"};

// Bits of `choice`: dummy prefix, byte pieces, removed spaces, equal scores, user-defined, unused.
std::unique_ptr<Tokenizer> Choose(uint8_t choice) {
  auto vocabulary = std::make_shared<Vocabulary>();
  vocabulary->pieces = {{"<unk>", 0, PieceType::kUnknown}, {"<s>", 0, PieceType::kControl}};
  const char* const digits = "0123456789ABCDEF";
  for (int byte = 0; (choice & 2) != 0 && byte < 256; ++byte) {
    const char text[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>', '\0'};
    vocabulary->pieces.push_back({text, 0, PieceType::kByte});
  }
  float score = 0;
  for (const char* text : kTexts) {
    const std::string_view view = text;
    PieceType type = PieceType::kNormal;
    // U+2581 stays in use: spelled by bytes it could not be told from one in the text.
    if ((choice & 32) != 0 && view.size() > 2 && view != kMetaSpace) type = PieceType::kUnused;
    if ((choice & 16) != 0 && (view == "aab" || view == "ba")) type = PieceType::kUserDefined;
    vocabulary->pieces.push_back({text, (choice & 8) != 0 ? 0 : score--, type});
  }
  vocabulary->add_space_prefix = (choice & 1) != 0;
  vocabulary->remove_extra_whitespaces = (choice & 4) != 0;
  return moescope::text::MakeTokenizer(std::move(vocabulary));
}

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string SpacesForMetaSpaces(std::string text) {
  for (size_t at; (at = text.find(kMetaSpace)) != std::string::npos;) text.replace(at, 3, " ");
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::vector<std::unique_ptr<Tokenizer>> tokenizers(64);
  if (size == 0) return 0;
  const uint8_t choice = data[0] & 63;
  if (tokenizers[choice] == nullptr) tokenizers[choice] = Choose(choice);
  const Tokenizer& tokenizer = *tokenizers[choice];
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Encoding encoding;
  tokenizer.Encode(text, encoding);
  uint32_t at = 0;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    Require(encoding.byte_start[i] == at && encoding.byte_end[i] >= at);
    at = encoding.byte_end[i];
  }
  const std::string decoded = tokenizer.Decode(encoding.ids);
  const bool lossless = (choice & 2) != 0 && (choice & 4) == 0;
  if (!encoding.ids.empty()) Require(at == text.size());
  // A decoded text may spell U+2581 anew from its bytes, so both sides are compared without it.
  if (lossless) Require(SpacesForMetaSpaces(decoded) == SpacesForMetaSpaces(text));
  StreamingDecoder decoder(tokenizer);
  std::string streamed;
  for (const int32_t id : encoding.ids) streamed += decoder.Push(id);
  streamed += decoder.Flush();
  Require(streamed.size() >= decoded.size());  // broken bytes grow to U+FFFD
  return 0;
}
