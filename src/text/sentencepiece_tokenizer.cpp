#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/scratch_pool.h"
#include "text/sentencepiece_encoder.h"
#include "text/tokenizer_kinds.h"

namespace moescope::text {
namespace {

using files::PieceType;

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
// What SentencePiece writes for an unknown token.
constexpr std::string_view kUnknownText = " \xE2\x81\x87 ";

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(std::shared_ptr<const files::Vocabulary> vocabulary)
      : vocabulary_(std::move(vocabulary)), tables_(*vocabulary_) {}

  std::string TokenBytes(int32_t id) const override {
    const auto& piece = Piece(id);
    if (piece.type == PieceType::kControl) return "";
    if (id == tables_.unknown_id) return std::string(kUnknownText);
    if (piece.type == PieceType::kByte) {
      const int value = files::ByteOfPiece(piece.text);
      if (value >= 0) return std::string(1, static_cast<char>(value));
    }
    return WithSpaces(piece.text);
  }

  std::string NextBytes(int32_t id, bool& at_start) const override {
    const auto& piece = Piece(id);
    if (piece.type == PieceType::kControl) return "";
    std::string bytes = TokenBytes(id);
    const bool spelled = piece.type != PieceType::kByte && id != tables_.unknown_id;
    const bool prefixed = tables_.add_space_prefix || tables_.remove_extra_spaces;
    const bool strip = at_start && prefixed && spelled && piece.text.starts_with(kSpaceSymbol);
    if (strip) bytes.erase(0, 1);
    // Where extra spaces are removed, a text has none at its start.
    at_start = at_start && tables_.remove_extra_spaces && bytes.empty();
    return bytes;
  }

  std::string TokenText(int32_t id) const override { return Piece(id).text; }
  bool IsControl(int32_t id) const override { return Piece(id).type == PieceType::kControl; }

  int vocab_size() const override { return static_cast<int>(vocabulary_->pieces.size()); }
  int bos_id() const override { return vocabulary_->bos_id; }
  int eos_id() const override { return vocabulary_->eos_id; }
  bool adds_bos() const override { return true; }
  EncodeOptions FormatOptions() const override {
    return {Specials::kAsText, tables_.add_space_prefix ? SpacePrefix::kOn : SpacePrefix::kOff};
  }

 private:
  std::string VocabularyIdentity() const override { return vocabulary_->Identity(); }

  void EncodeSome(std::string_view text, const EncodeOptions& options, size_t max_tokens,
                  Encoding& out) const override {
    std::unique_ptr<EncoderScratch> scratch = scratch_.Borrow(tables_);
    const bool prefix = options.space_prefix == SpacePrefix::kOn;
    if (options.specials == Specials::kRecognised) {
      EncodeWithSpecials(text, prefix, max_tokens, *scratch, out);
    } else {
      EncodeSentencePieces(tables_, *scratch, text, prefix, max_tokens, out);
    }
    const size_t n_bytes = scratch->normalised.capacity();
    scratch_.Return(std::move(scratch), n_bytes);
  }

  // Each stretch between special tokens is encoded as a text of its own, as in tokenizer.json.
  void EncodeWithSpecials(std::string_view text, bool prefix, size_t max_tokens,
                          EncoderScratch& scratch, Encoding& out) const {
    out.clear();
    AddedTokens::Walk walk(tables_.specials, text, /*specials=*/true);
    Encoding part;
    for (AddedTokens::Match match; out.ids.size() < max_tokens && walk.Next(match);) {
      const auto begin = static_cast<uint32_t>(match.begin);
      const auto end = static_cast<uint32_t>(match.end);
      if (match.token != nullptr) {
        AppendToken(out, match.token->id, begin, end);
        continue;
      }
      EncodeSentencePieces(tables_, scratch, text.substr(begin, end - begin), prefix,
                           max_tokens - out.ids.size(), part);
      for (size_t i = 0; i < part.ids.size(); ++i) {
        AppendToken(out, part.ids[i], begin + part.byte_start[i], begin + part.byte_end[i]);
      }
    }
  }

  // What a stretch without tokens leaves over (removed spaces) belongs to the token after it.
  static void AppendToken(Encoding& out, int32_t id, uint32_t begin, uint32_t end) {
    begin = std::min(begin, out.byte_end.empty() ? 0 : out.byte_end.back());
    out.ids.push_back(id);
    out.byte_start.push_back(begin);
    out.byte_end.push_back(end);
  }

  const files::Vocabulary::Piece& Piece(int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot decode: token id {} is outside the vocabulary of {}", id,
                              vocab_size()));
    }
    return vocabulary_->pieces[id];
  }

  static std::string WithSpaces(const std::string& piece) {
    std::string text;
    for (size_t at = 0; at < piece.size();) {
      const bool space = piece.compare(at, 3, kSpaceSymbol) == 0;
      text.push_back(space ? ' ' : piece[at]);
      at += space ? 3 : 1;
    }
    return text;
  }

  std::shared_ptr<const files::Vocabulary> vocabulary_;
  SentencePieceTables tables_;
  ScratchPool<EncoderScratch> scratch_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(
    std::shared_ptr<const files::Vocabulary> vocabulary) {
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary));
}

}  // namespace moescope::text
