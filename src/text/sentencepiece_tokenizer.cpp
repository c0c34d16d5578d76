#include <fmt/format.h>

#include <mutex>

#include "base/error.h"
#include "text/sentencepiece_encoder.h"
#include "text/tokenizer.h"

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

  std::string Decode(const std::vector<int32_t>& ids) const override {
    std::string text;
    bool at_start = true;
    for (const int32_t id : ids) text += NextBytes(id, at_start);
    return text;
  }

  int vocab_size() const override { return static_cast<int>(vocabulary_->pieces.size()); }
  int bos_id() const override { return vocabulary_->bos_id; }
  int eos_id() const override { return vocabulary_->eos_id; }
  std::string Identity() const override { return vocabulary_->Identity(); }

 private:
  void EncodeSome(std::string_view text, size_t max_tokens, Encoding& out) const override {
    if (text.size() >= uint64_t{1} << 32) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot tokenise: expected less than 4 GiB in one text, found {} "
                              "bytes; split it",
                              text.size()));
    }
    std::unique_ptr<EncoderScratch> scratch = Borrow();
    EncodeSentencePieces(tables_, *scratch, text, max_tokens, out);
    Return(std::move(scratch));
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

  // Scratch is kept between calls, one per thread that encodes at the same time: the word cache is
  // worth more the longer it lives. What it holds never changes a result.
  std::unique_ptr<EncoderScratch> Borrow() const {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<EncoderScratch>(tables_);
    std::unique_ptr<EncoderScratch> scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
  }
  void Return(std::unique_ptr<EncoderScratch> scratch) const {
    // The memory of one huge text is not kept.
    if (scratch->normalised.capacity() > (size_t{8} << 20)) return;
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }

  std::shared_ptr<const files::Vocabulary> vocabulary_;
  SentencePieceTables tables_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<EncoderScratch>> idle_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(
    std::shared_ptr<const files::Vocabulary> vocabulary) {
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary));
}

}  // namespace moescope::text
