// A tokenizer.json of any bytes: refused with an Error, or a tokenizer whose byte ranges cover a
// text and which can decode its tokens.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "files/tokenizer_json.h"
#include "text/tokenizer.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::string_view kTexts[] = {
    "", " a b  <s>ab</s> \n\n 123 <tool>  e\xCC\x81 'S \xE2\x96\x81x",
    "\xff<|end|> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab \xC3\xA9"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    auto vocabulary = std::make_shared<files::Vocabulary>(files::ParseTokenizerJson(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.json"));
    vocabulary->Identity();
    const auto tokenizer = text::MakeTokenizer(std::move(vocabulary));
    text::Encoding encoding;
    for (const std::string_view text : kTexts) {
      for (const auto specials : {text::Specials::kAsText, text::Specials::kRecognised}) {
        for (const auto prefix : {text::SpacePrefix::kOn, text::SpacePrefix::kOff}) {
          tokenizer->Encode(text, {specials, prefix}, encoding);
          uint32_t at = 0;
          for (size_t i = 0; i < encoding.ids.size(); ++i) {
            Require(encoding.byte_start[i] == at && encoding.byte_end[i] >= at);
            at = encoding.byte_end[i];
          }
          Require(encoding.ids.empty() || at == text.size());
          tokenizer->Decode(encoding.ids);
        }
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
