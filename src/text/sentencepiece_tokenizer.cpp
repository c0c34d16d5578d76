#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/error.h"
#include "text/merge_table.h"
#include "text/merger.h"
#include "text/piece_trie.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace moescope::text {
namespace {

using files::PieceType;

constexpr int32_t kNone = MergeTable::kNone;
constexpr uint32_t kSpaceCodePoint = 0x2581;
constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
// What SentencePiece writes for an unknown token.
constexpr std::string_view kUnknownText = " \xE2\x81\x87 ";
constexpr uint32_t kNotAscii = 128;

// What every encoding shares: derived from the vocabulary once.
struct Tables {
  explicit Tables(const files::Vocabulary& vocabulary);

  MergeTable merges;
  PieceTrie user_defined{PieceTrie::Spaces::kAlike};
  PieceTrie literal_user_defined{PieceTrie::Spaces::kLiteral};  // before normalisation
  std::array<int32_t, 256> byte_pieces;    // kNone where the vocabulary has none
  std::array<int32_t, 128> ascii_symbols;  // ' ' as U+2581
  int32_t unknown_id;
  bool add_space_prefix;
  bool remove_extra_spaces;
};

int32_t ByteValue(const std::string& piece) {
  unsigned value = 0;
  if (piece.size() != 6 || piece.compare(0, 3, "<0x") != 0 || piece[5] != '>') return kNone;
  for (int i = 3; i < 5; ++i) {
    const char c = piece[i];
    const bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'F';
    if (!digit && !upper) return kNone;
    value = value * 16 + static_cast<unsigned>(digit ? c - '0' : c - 'A' + 10);
  }
  return static_cast<int32_t>(value);
}

Tables::Tables(const files::Vocabulary& vocabulary)
    : merges(vocabulary),
      unknown_id(vocabulary.unknown_id),
      add_space_prefix(vocabulary.add_space_prefix),
      remove_extra_spaces(vocabulary.remove_extra_whitespaces) {
  byte_pieces.fill(kNone);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const auto& piece = vocabulary.pieces[id];
    if (piece.type == PieceType::kByte) {
      const int32_t value = ByteValue(piece.text);
      if (value != kNone) byte_pieces[value] = static_cast<int32_t>(id);
    }
    if (piece.type == PieceType::kUserDefined && piece.text.size() <= MergeTable::kMaxPieceBytes &&
        FindBrokenUtf8(piece.text) == std::string_view::npos) {
      user_defined.Add(piece.text, static_cast<int32_t>(id));
      literal_user_defined.Add(piece.text, static_cast<int32_t>(id));
    }
  }
  for (uint32_t c = 0; c < 128; ++c) {
    ascii_symbols[c] = merges.CharacterSymbol(c == ' ' ? kSpaceCodePoint : c);
  }
}

// Memory an encoding works in, kept for the next one.
struct Scratch {
  explicit Scratch(const Tables& tables) : merger(tables.merges) {}
  WordCache cache;
  Merger merger;
  std::vector<int32_t> symbols;
  std::vector<int32_t> unused_stack;
  std::string normalised;
  std::vector<uint32_t> offsets;
};

// One call of Encode. The normalised text keeps spaces as they are: everything here reads ' ' and
// U+2581 alike.
class Encoder {
 public:
  Encoder(const Tables& tables, Scratch& scratch, Encoding& out)
      : tables_(tables), merges_(tables.merges), scratch_(scratch), out_(out) {}

  void Run(std::string_view text) {
    Normalise(text);
    const size_t expected = text.size() / 3 + 16;  // prose has 3 to 5 bytes a token
    out_.ids.reserve(expected);
    out_.byte_start.reserve(expected);
    out_.byte_end.reserve(expected);
    if (merges_.splits_depend_on_order()) {
      EncodeAtOnce();
    } else {
      EncodeByWords();
    }
    if (!out_.byte_end.empty()) out_.byte_end.back() = static_cast<uint32_t>(text.size());
  }

 private:
  struct Character {
    int32_t symbol;
    uint32_t ascii;  // ' ' for U+2581, kNotAscii beyond ASCII
    uint32_t n_bytes;
  };

  void Normalise(std::string_view text);
  void RemoveExtraSpaces(std::string_view text);
  void EncodeByWords();
  void EncodeAtOnce();
  Character CharacterAt(size_t position) const;
  bool Adjoin(const Character& left, const Character& right) const;
  size_t WordEnd(size_t position, Character character) const;
  PieceTrie::Match UserDefinedAt(size_t position) const;
  void EncodeWord(std::string_view word);
  void MergeWord(std::string_view word);
  void Remember(std::string_view word, size_t first_token, WordCache::Entry& entry) const;
  void EmitSymbol(int32_t symbol);
  void EmitBytes(size_t n_bytes);
  size_t CharactersEnd(uint32_t n_characters) const;
  void Emit(int32_t id, size_t n_bytes);

  const Tables& tables_;
  const MergeTable& merges_;
  Scratch& scratch_;
  Encoding& out_;
  std::string_view text_;     // normalised
  size_t prefix_ = 0;         // bytes of dummy prefix
  bool has_offsets_ = false;  // source positions are in scratch_.offsets
  size_t at_ = 0;             // normalised bytes encoded so far
  uint32_t source_at_ = 0;    // the same in the source
};

void Encoder::Normalise(std::string_view text) {
  std::string& normalised = scratch_.normalised;
  normalised.clear();
  normalised.reserve(text.size() + 1);
  if (tables_.remove_extra_spaces) {
    RemoveExtraSpaces(text);
  } else {
    prefix_ = tables_.add_space_prefix && !text.empty();
    normalised.assign(prefix_, ' ');
    normalised.append(text);
  }
  text_ = normalised;
}

// Drops leading and trailing spaces and all but one of a run, except inside user-defined pieces. A
// dropped space belongs to the source of the byte after it.
void Encoder::RemoveExtraSpaces(std::string_view text) {
  std::string& kept = scratch_.normalised;
  std::vector<uint32_t>& offsets = scratch_.offsets;
  offsets.assign(1, 0);
  has_offsets_ = true;
  const auto step = [&](size_t at) {
    return std::max<size_t>(tables_.literal_user_defined.Longest(text, at).n_bytes, 1);
  };
  size_t at = 0;
  while (at < text.size() && text[at] == ' ' && step(at) == 1) ++at;
  if (at == text.size()) return;
  if (tables_.add_space_prefix) {
    kept.push_back(' ');
    offsets.push_back(0);
  }
  bool after_space = true;
  while (at < text.size()) {
    const size_t end = at + step(at);
    for (; at < end && after_space && text[at] == ' ';) ++at;
    if (at == end) continue;
    after_space = text[end - 1] == ' ';
    for (; at < end; ++at) {
      kept.push_back(text[at]);
      offsets.push_back(static_cast<uint32_t>(at + 1));
    }
  }
  while (!kept.empty()) {
    const size_t n = kept.back() == ' ' ? 1 : kept.ends_with(kSpaceSymbol) ? 3 : 0;
    if (n == 0) break;
    kept.resize(kept.size() - n);
  }
}

PieceTrie::Match Encoder::UserDefinedAt(size_t position) const {
  if (!tables_.user_defined.MayStart(static_cast<uint8_t>(text_[position]))) return {};
  return tables_.user_defined.Longest(text_, position);
}

Encoder::Character Encoder::CharacterAt(size_t position) const {
  const auto byte = static_cast<uint8_t>(text_[position]);
  if (byte < 0x80) return {tables_.ascii_symbols[byte], byte, 1};
  const Utf8Step step = StepUtf8(text_, position);
  if (!step.valid) return {kNone, kNotAscii, 1};
  return {merges_.CharacterSymbol(step.code_point),
          step.code_point == kSpaceCodePoint ? ' ' : kNotAscii, step.n_bytes};
}

// False where no piece could ever span the two: merging stops there.
bool Encoder::Adjoin(const Character& left, const Character& right) const {
  if (left.ascii < 128 && right.ascii < 128) {
    return merges_.Adjoin(static_cast<uint8_t>(left.ascii), static_cast<uint8_t>(right.ascii));
  }
  if (right.symbol == kNone) return false;
  if (right.ascii == ' ' && merges_.spaces_start_words()) return false;
  return merges_.GoesOnAfter(left.symbol) && merges_.GoesOnBefore(right.symbol);
}

size_t Encoder::WordEnd(size_t position, Character character) const {
  position += character.n_bytes;
  while (position < text_.size()) {
    const Character next = CharacterAt(position);
    if (!Adjoin(character, next) || UserDefinedAt(position).id != kNone) break;
    character = next;
    position += next.n_bytes;
  }
  return position;
}

void Encoder::EncodeByWords() {
  while (at_ < text_.size()) {
    const PieceTrie::Match user_defined = UserDefinedAt(at_);
    if (user_defined.id != kNone) {
      Emit(user_defined.id, user_defined.n_bytes);
      continue;
    }
    const Character character = CharacterAt(at_);
    if (character.symbol == kNone) {
      EmitBytes(character.n_bytes);
    } else {
      EncodeWord(text_.substr(at_, WordEnd(at_, character) - at_));
    }
  }
}

void Encoder::EncodeWord(std::string_view word) {
  if (word.size() > WordCache::kMaxBytes || has_offsets_) return MergeWord(word);
  WordCache::Entry& entry = scratch_.cache.Slot(word);
  if (WordCache::Holds(entry, word)) {
    for (int i = 0; i < entry.n_tokens; ++i) Emit(entry.ids[i], entry.token_bytes[i]);
    return;
  }
  const size_t first_token = out_.ids.size();
  MergeWord(word);
  Remember(word, first_token, entry);
}

void Encoder::Remember(std::string_view word, size_t first_token, WordCache::Entry& entry) const {
  const size_t n_tokens = out_.ids.size() - first_token;
  // None: an unknown character that joined the unknown token before it.
  if (n_tokens == 0 || n_tokens > WordCache::kMaxTokens) return;
  for (size_t i = 0; i < n_tokens; ++i) {
    const size_t token = first_token + i;
    if (out_.ids[token] == tables_.unknown_id) {
      entry.n_bytes = 0;
      return;
    }
    entry.ids[i] = out_.ids[token];
    entry.token_bytes[i] = static_cast<uint8_t>(out_.byte_end[token] - out_.byte_start[token]);
  }
  if (first_token == 0) entry.token_bytes[0] += static_cast<uint8_t>(prefix_);
  entry.n_tokens = static_cast<uint8_t>(n_tokens);
  entry.n_bytes = static_cast<uint8_t>(word.size());
  std::copy(word.begin(), word.end(), entry.bytes);
}

void Encoder::MergeWord(std::string_view word) {
  std::vector<int32_t>& symbols = scratch_.symbols;
  symbols.clear();
  const size_t end = at_ + word.size();
  for (size_t position = at_; position < end;) {
    const Character character = CharacterAt(position);
    symbols.push_back(character.symbol);
    position += character.n_bytes;
  }
  scratch_.merger.Merge(symbols);
  for (const int32_t symbol : symbols) EmitSymbol(symbol);
}

// The whole text as one run, with barriers for what never merges: how unused pieces come apart may
// depend on pairs anywhere in the text.
void Encoder::EncodeAtOnce() {
  std::vector<int32_t>& symbols = scratch_.symbols;
  symbols.clear();
  for (size_t position = 0; position < text_.size();) {
    const PieceTrie::Match user_defined = UserDefinedAt(position);
    const Character character = CharacterAt(position);
    symbols.push_back(user_defined.id == kNone ? character.symbol : kNone);
    position += user_defined.id == kNone ? character.n_bytes : user_defined.n_bytes;
  }
  scratch_.merger.Merge(symbols);
  for (const int32_t symbol : symbols) {
    const PieceTrie::Match user_defined = symbol == kNone ? UserDefinedAt(at_) : PieceTrie::Match{};
    if (user_defined.id != kNone) {
      Emit(user_defined.id, user_defined.n_bytes);
    } else if (symbol == kNone) {
      EmitBytes(CharacterAt(at_).n_bytes);
    } else {
      EmitSymbol(symbol);
    }
  }
}

size_t Encoder::CharactersEnd(uint32_t n_characters) const {
  size_t end = at_;
  for (uint32_t i = 0; i < n_characters; ++i) {
    const auto lead = static_cast<uint8_t>(text_[end]);
    end += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  }
  return end;
}

// Emits a symbol, or the parts of an unused piece; an unused character is as good as unknown.
void Encoder::EmitSymbol(int32_t symbol) {
  std::vector<int32_t>& stack = scratch_.unused_stack;
  stack.assign(1, symbol);
  while (!stack.empty()) {
    symbol = stack.back();
    stack.pop_back();
    const bool unused = merges_.IsUnused(symbol);
    const MergeTable::Split split = unused ? scratch_.merger.SplitOf(symbol) : MergeTable::Split{};
    if (split.left != kNone) {
      stack.push_back(split.right);
      stack.push_back(split.left);
      continue;
    }
    const size_t n_bytes = CharactersEnd(merges_.n_characters(symbol)) - at_;
    if (symbol < merges_.n_pieces() && !unused) {
      Emit(symbol, n_bytes);
    } else {
      EmitBytes(n_bytes);
    }
  }
}

// One character (or broken byte) that is no piece: its byte pieces, or the unknown piece.
void Encoder::EmitBytes(size_t n_bytes) {
  const std::string_view character = text_[at_] == ' ' ? kSpaceSymbol : text_.substr(at_, n_bytes);
  const auto piece = [&](char c) { return tables_.byte_pieces[static_cast<uint8_t>(c)]; };
  for (const char c : character) {
    if (piece(c) == kNone) return Emit(tables_.unknown_id, n_bytes);
  }
  for (size_t i = 0; i < character.size(); ++i) Emit(piece(character[i]), i < n_bytes ? 1 : 0);
}

void Encoder::Emit(int32_t id, size_t n_bytes) {
  at_ += n_bytes;
  const uint32_t begin = source_at_;
  source_at_ = has_offsets_ ? scratch_.offsets[at_]
                            : static_cast<uint32_t>(std::max(at_, prefix_) - prefix_);
  if (id == tables_.unknown_id && !out_.ids.empty() && out_.ids.back() == id) {
    out_.byte_end.back() = source_at_;  // SentencePiece makes a run of unknowns one token
    return;
  }
  out_.ids.push_back(id);
  out_.byte_start.push_back(begin);
  out_.byte_end.push_back(source_at_);
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(std::shared_ptr<const files::Vocabulary> vocabulary)
      : vocabulary_(std::move(vocabulary)), tables_(*vocabulary_) {}

  void Encode(std::string_view text, Encoding& out) const override {
    out.clear();
    if (text.size() >= uint64_t{1} << 32) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot tokenise: expected less than 4 GiB in one text, found {} "
                              "bytes; split it",
                              text.size()));
    }
    std::unique_ptr<Scratch> scratch = Borrow();
    Encoder(tables_, *scratch, out).Run(text);
    Return(std::move(scratch));
  }

  std::string TokenBytes(int32_t id) const override {
    const auto& piece = Piece(id);
    if (piece.type == PieceType::kControl) return "";
    if (id == tables_.unknown_id) return std::string(kUnknownText);
    if (piece.type == PieceType::kByte) {
      const int32_t value = ByteValue(piece.text);
      if (value != kNone) return std::string(1, static_cast<char>(value));
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
  std::unique_ptr<Scratch> Borrow() const {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Scratch>(tables_);
    std::unique_ptr<Scratch> scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
  }
  void Return(std::unique_ptr<Scratch> scratch) const {
    // The memory of one huge text is not kept.
    if (scratch->normalised.capacity() > (size_t{8} << 20)) return;
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }

  std::shared_ptr<const files::Vocabulary> vocabulary_;
  Tables tables_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(
    std::shared_ptr<const files::Vocabulary> vocabulary) {
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary));
}

}  // namespace moescope::text
