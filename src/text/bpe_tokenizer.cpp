#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/bpe_encoder.h"
#include "text/scratch_pool.h"
#include "text/token_decoder.h"
#include "text/tokenizer_kinds.h"

namespace moescope::text {
namespace {

using files::NormaliserStep;
using files::PieceType;
using files::PreTokeniserStep;
using files::Vocabulary;
using Prefix = PreTokeniserStep::Prefix;

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";

bool PrependsSpace(const NormaliserStep& step) {
  return step.kind == NormaliserStep::Kind::kPrepend &&
         (step.text == kSpaceSymbol || step.text == " ");
}

bool ReplacesSpaces(const NormaliserStep& step) {
  return step.kind == NormaliserStep::Kind::kReplace && step.text == " " &&
         step.replacement == kSpaceSymbol;
}

bool PutsPrefix(const Vocabulary& vocabulary) {
  return std::any_of(vocabulary.normaliser.begin(), vocabulary.normaliser.end(), PrependsSpace) ||
         std::any_of(vocabulary.pre_tokeniser.begin(), vocabulary.pre_tokeniser.end(),
                     [](const PreTokeniserStep& step) { return step.prefix != Prefix::kNever; });
}

Vocabulary StepsOf(const Vocabulary& vocabulary) {
  Vocabulary steps;
  steps.kind = vocabulary.kind;
  steps.normaliser = vocabulary.normaliser;
  steps.pre_tokeniser = vocabulary.pre_tokeniser;
  steps.added_tokens = vocabulary.added_tokens;
  return steps;
}

Vocabulary WithoutPrefix(const Vocabulary& vocabulary) {
  Vocabulary steps = StepsOf(vocabulary);
  std::erase_if(steps.normaliser, PrependsSpace);
  for (PreTokeniserStep& step : steps.pre_tokeniser) step.prefix = Prefix::kNever;
  return steps;
}

// The way the format itself would have it: a Metaspace or Prepend where spaces become U+2581, else
// a space before anything is cut.
Vocabulary WithPrefix(const Vocabulary& vocabulary) {
  Vocabulary steps = StepsOf(vocabulary);
  for (PreTokeniserStep& step : steps.pre_tokeniser) {
    if (step.kind != PreTokeniserStep::Kind::kMetaspace) continue;
    step.prefix = Prefix::kFirst;
    return steps;
  }
  if (std::any_of(steps.normaliser.begin(), steps.normaliser.end(), ReplacesSpaces)) {
    NormaliserStep prepend;
    prepend.kind = NormaliserStep::Kind::kPrepend;
    prepend.text = kSpaceSymbol;
    steps.normaliser.insert(steps.normaliser.begin(), prepend);
    return steps;
  }
  PreTokeniserStep space;
  space.kind = PreTokeniserStep::Kind::kByteLevel;
  space.prefix = Prefix::kAlways;
  steps.pre_tokeniser.insert(steps.pre_tokeniser.begin(), space);
  return steps;
}

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(std::shared_ptr<const Vocabulary> vocabulary)
      : vocabulary_(std::move(vocabulary)),
        tables_(*vocabulary_),
        decoder_(*vocabulary_),
        puts_prefix_(PutsPrefix(*vocabulary_)),
        as_format_(*vocabulary_),
        otherwise_(puts_prefix_ ? WithoutPrefix(*vocabulary_) : WithPrefix(*vocabulary_)) {
    NormalisedText text;
    for (const files::AddedToken& token : vocabulary_->added_tokens) {
      if (!token.normalized) continue;
      as_format_.normaliser.Apply(token.text, text);
      if (text.text() != token.text) spellings_[token.id] = text.text();
    }
  }

  std::string TokenBytes(int32_t id) const override {
    const Vocabulary::Piece& piece = Piece(id);
    return IsText(piece) ? decoder_.Bytes(Spelling(id)) : "";
  }
  std::string NextBytes(int32_t id, bool& at_start) const override {
    const Vocabulary::Piece& piece = Piece(id);
    return IsText(piece) ? decoder_.NextBytes(Spelling(id), at_start) : "";
  }
  std::string TokenText(int32_t id) const override { return Piece(id).text; }
  bool IsControl(int32_t id) const override { return Piece(id).type == PieceType::kControl; }
  int vocab_size() const override { return static_cast<int>(vocabulary_->pieces.size()); }
  int bos_id() const override { return vocabulary_->bos_id; }
  int eos_id() const override { return vocabulary_->eos_id; }
  bool adds_bos() const override { return vocabulary_->adds_bos; }
  EncodeOptions FormatOptions() const override {
    return {Specials::kRecognised, puts_prefix_ ? SpacePrefix::kOn : SpacePrefix::kOff};
  }

 private:
  std::string VocabularyIdentity() const override { return vocabulary_->Identity(); }

  void EncodeSome(std::string_view text, const EncodeOptions& options, size_t max_tokens,
                  Encoding& out) const override {
    const bool prefix = options.space_prefix == SpacePrefix::kOn;
    std::unique_ptr<BpeScratch> scratch = scratch_.Borrow(tables_);
    EncodeBpe(tables_, prefix == puts_prefix_ ? as_format_ : otherwise_, *scratch, text,
              options.specials == Specials::kRecognised, max_tokens, out);
    const size_t n_bytes = scratch->capacity();
    scratch_.Return(std::move(scratch), n_bytes);
  }

  static bool IsText(const Vocabulary::Piece& piece) {
    return piece.type != PieceType::kControl && piece.type != PieceType::kUnused;
  }

  const Vocabulary::Piece& Piece(int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot decode: token id {} is outside the vocabulary of {}", id,
                              vocab_size()));
    }
    return vocabulary_->pieces[static_cast<size_t>(id)];
  }

  // What decoding starts from: of an added token that is looked for in normalised text, that text.
  const std::string& Spelling(int32_t id) const {
    const auto found = spellings_.find(id);
    return found == spellings_.end() ? Piece(id).text : found->second;
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeTables tables_;
  TokenDecoder decoder_;
  bool puts_prefix_;
  BpePipeline as_format_;
  BpePipeline otherwise_;  // with a prefix where the format puts none, and the reverse
  std::unordered_map<int32_t, std::string> spellings_;
  ScratchPool<BpeScratch> scratch_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeBpeTokenizer(std::shared_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<BpeTokenizer>(std::move(vocabulary));
}

}  // namespace moescope::text
