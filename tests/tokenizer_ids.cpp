// Our side of tokenizer_against_sentencepiece.py and tokenizer_against_hf.py.
//   tokenizer_ids TOKENIZER.model|TOKENIZER.json [text|tokens] [on|off] < texts > answers
// The words set what special tokens in a text mean and the prefix space; default: as the format.
// A text is a little-endian uint32 length and its bytes; an answer is a uint32 count, int32 ids, a
// uint32 length and the decoded bytes. Exits with 1 if byte ranges do not cover a text in order.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/tokenizer_json.h"
#include "files/vocabulary.h"
#include "text/tokenizer.h"

namespace {

bool ReadU32(uint32_t& value) {
  return std::fread(&value, 4, 1, stdin) == 1;
}
void WriteU32(size_t value) {
  const auto narrow = static_cast<uint32_t>(value);
  std::fwrite(&narrow, 4, 1, stdout);
}

bool Covers(const moescope::text::Encoding& encoding, size_t n_bytes) {
  uint32_t at = 0;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (encoding.byte_start[i] != at || encoding.byte_end[i] < at) return false;
    at = encoding.byte_end[i];
  }
  return encoding.ids.empty() || at == n_bytes;
}

moescope::files::Vocabulary Read(const std::string& path) {
  const std::string bytes = moescope::ReadWholeFile(path, 1 << 28);
  return path.ends_with(".json") ? moescope::files::ParseTokenizerJson(bytes, path)
                                 : moescope::files::ParseSentencePieceModel(bytes, path);
}

moescope::text::EncodeOptions OptionsOf(int argc, char** argv) {
  using namespace moescope::text;
  EncodeOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "text") options.specials = Specials::kAsText;
    if (word == "tokens") options.specials = Specials::kRecognised;
    if (word == "on") options.space_prefix = SpacePrefix::kOn;
    if (word == "off") options.space_prefix = SpacePrefix::kOff;
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace moescope;
  if (argc < 2) return 64;
  try {
    const auto tokenizer = text::MakeTokenizer(std::make_shared<files::Vocabulary>(Read(argv[1])));
    const text::EncodeOptions options = OptionsOf(argc, argv);
    std::string input;
    text::Encoding encoding;
    for (uint32_t n_bytes; ReadU32(n_bytes);) {
      input.resize(n_bytes);
      if (std::fread(input.data(), 1, n_bytes, stdin) != n_bytes) return 2;
      tokenizer->Encode(input, options, encoding);
      if (!Covers(encoding, n_bytes)) {
        std::fprintf(stderr, "byte ranges do not cover '%s'\n", input.c_str());
        return 1;
      }
      const std::string decoded = tokenizer->Decode(encoding.ids);
      WriteU32(encoding.ids.size());
      std::fwrite(encoding.ids.data(), 4, encoding.ids.size(), stdout);
      WriteU32(decoded.size());
      std::fwrite(decoded.data(), 1, decoded.size(), stdout);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return ExitCode(error.kind());
  }
  return 0;
}
