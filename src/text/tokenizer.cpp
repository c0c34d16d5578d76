#include "text/tokenizer.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "base/error.h"
#include "text/tokenizer_kinds.h"

namespace moescope::text {

std::unique_ptr<Tokenizer> MakeTokenizer(std::shared_ptr<const files::Vocabulary> vocabulary) {
  switch (vocabulary->kind) {
    case files::TokenizerKind::kSentencePiece:
      return MakeSentencePieceTokenizer(std::move(vocabulary));
    case files::TokenizerKind::kBpe:
      return MakeBpeTokenizer(std::move(vocabulary));
  }
  throw Error(ErrorKind::kInternal, "cannot make a tokenizer: unknown kind");
}

EncodeOptions Tokenizer::Resolve(EncodeOptions options) const {
  const EncodeOptions format = FormatOptions();
  if (options.specials == Specials::kByFormat) options.specials = format.specials;
  if (options.space_prefix == SpacePrefix::kByFormat) options.space_prefix = format.space_prefix;
  return options;
}

void Tokenizer::Encode(std::string_view text, const EncodeOptions& options, Encoding& out,
                       size_t max_tokens) const {
  if (text.size() >= uint64_t{1} << 32) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot tokenise: expected less than 4 GiB in one text, found {} "
                            "bytes; split it",
                            text.size()));
  }
  EncodeSome(text, Resolve(options), max_tokens, out);
}

std::string Tokenizer::Identity(const EncodeOptions& options) const {
  const std::string identity = VocabularyIdentity();
  const EncodeOptions resolved = Resolve(options);
  if (resolved == FormatOptions()) return identity;
  const std::string both =
      fmt::format("{} specials {} prefix {}", identity, static_cast<int>(resolved.specials),
                  static_cast<int>(resolved.space_prefix));
  return fmt::format("{:016x}", XXH3_64bits(both.data(), both.size()));
}

std::string Tokenizer::Decode(const std::vector<int32_t>& ids) const {
  std::string text;
  bool at_start = true;
  for (const int32_t id : ids) text += NextBytes(id, at_start);
  return text;
}

}  // namespace moescope::text
