#include "text/sentencepiece_encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/encoding_room.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using files::PieceType;

constexpr int32_t kNone = MergeTable::kNone;
constexpr uint32_t kSpaceCodePoint = 0x2581;
constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
constexpr uint32_t kNotAscii = 128;

// One call of Encode. The normalised text keeps spaces as they are: everything here reads ' ' and
// U+2581 alike.
class Encoder {
 public:
  Encoder(const SentencePieceTables& tables, EncoderScratch& scratch, bool add_space_prefix,
          Encoding& out)
      : tables_(tables),
        merges_(tables.merges),
        scratch_(scratch),
        add_space_prefix_(add_space_prefix),
        out_(out) {}

  void Run(std::string_view text, size_t max_tokens) {
    n_source_ = text.size();
    max_tokens_ = max_tokens;
    if (tables_.remove_extra_spaces) {
      RemoveExtraSpaces(text);
      text_ = scratch_.normalised;
      EncodeRest();
    } else if (add_space_prefix_ && !text.empty()) {
      EncodePrefixed(text);
    } else {
      text_ = text;
      EncodeRest();
    }
    if (out_.ids.size() > max_tokens) {
      Truncate(out_, max_tokens);
    } else if (!out_.byte_end.empty()) {
      out_.byte_end.back() = static_cast<uint32_t>(n_source_);  // spaces removed at the end
    }
  }

 private:
  struct Character {
    int32_t symbol;
    uint32_t ascii;  // ' ' for U+2581, kNotAscii beyond ASCII
    uint32_t n_bytes;
  };

  void RemoveExtraSpaces(std::string_view text);
  void EncodePrefixed(std::string_view text);
  void EncodeRest();
  void EncodeWordsUpTo(size_t end);
  void EncodeAtOnce();
  Character CharacterAt(size_t position) const;
  bool Adjoin(const Character& left, const Character& right) const;
  size_t WordEnd(size_t position, Character character) const;
  PieceTrie::Match UserDefinedAt(size_t position) const;
  void EncodeWord(std::string_view word);
  void MergeWord(std::string_view word);
  void Remember(std::string_view word, size_t first_token, WordCache::Entry& entry) const;
  MergeTable::Split SplitOf(int32_t symbol) const;
  void EmitSymbol(int32_t symbol);
  void EmitBytes(size_t n_bytes);
  size_t CharactersEnd(uint32_t n_characters) const;
  void Emit(int32_t id, size_t n_bytes);

  const SentencePieceTables& tables_;
  const MergeTable& merges_;
  EncoderScratch& scratch_;
  bool add_space_prefix_;
  Encoding& out_;
  std::string_view text_;     // normalised
  size_t prefix_ = 0;         // bytes of dummy prefix
  bool has_offsets_ = false;  // source positions are in scratch_.offsets
  size_t n_source_ = 0;       // bytes of the source
  size_t max_tokens_ = 0;
  size_t at_ = 0;           // normalised bytes encoded so far
  uint32_t source_at_ = 0;  // the same in the source
};

// With a dummy prefix: only the head of a long text is copied behind a space, then encoding goes on
// in the text itself.
void Encoder::EncodePrefixed(std::string_view text) {
  constexpr size_t kHeadBytes = 64 << 10;
  std::string& head = scratch_.normalised;
  const bool whole = text.size() <= kHeadBytes || merges_.splits_depend_on_order();
  head.assign(1, ' ').append(text.substr(0, whole ? text.size() : kHeadBytes));
  prefix_ = 1;
  text_ = head;
  if (whole) return EncodeRest();
  EncodeWordsUpTo(kHeadBytes - MergeTable::kMaxPieceBytes);
  if (at_ == 0) {  // one endless word
    text_ = head.append(text.substr(kHeadBytes));
  } else {
    at_ -= prefix_;
    prefix_ = 0;
    text_ = text;
  }
  EncodeRest();
}

void Encoder::EncodeRest() {
  if (merges_.splits_depend_on_order()) {
    EncodeAtOnce();
  } else {
    EncodeWordsUpTo(text_.size());
  }
}

// Drops leading and trailing spaces and all but one of a run, except inside user-defined pieces. A
// dropped space belongs to the source of the byte after it.
void Encoder::RemoveExtraSpaces(std::string_view text) {
  std::string& kept = scratch_.normalised;
  std::vector<uint32_t>& offsets = scratch_.offsets;
  kept.clear();
  offsets.assign(1, 0);
  has_offsets_ = true;
  const auto step = [&](size_t at) {
    return std::max<size_t>(tables_.literal_user_defined.Longest(text, at).n_bytes, 1);
  };
  size_t at = 0;
  while (at < text.size() && text[at] == ' ' && step(at) == 1) ++at;
  if (at == text.size()) return;
  if (add_space_prefix_) {
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

// Encodes words, and what lies between, as long as they end at `end` at the latest.
void Encoder::EncodeWordsUpTo(size_t end) {
  while (at_ < end && out_.ids.size() <= max_tokens_) {
    const PieceTrie::Match user_defined = UserDefinedAt(at_);
    const Character character = CharacterAt(at_);
    const bool word = user_defined.id == kNone && character.symbol != kNone;
    const size_t n_bytes = word                       ? WordEnd(at_, character) - at_
                           : user_defined.id != kNone ? user_defined.n_bytes
                                                      : character.n_bytes;
    if (at_ + n_bytes > end) return;
    if (word) {
      EncodeWord(text_.substr(at_, n_bytes));
    } else if (user_defined.id != kNone) {
      Emit(user_defined.id, n_bytes);
    } else {
      EmitBytes(n_bytes);
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

MergeTable::Split Encoder::SplitOf(int32_t symbol) const {
  return merges_.splits_depend_on_order() ? scratch_.merger.SplitOf(symbol)
                                          : merges_.SplitOf(symbol);
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
    const MergeTable::Split split = unused ? SplitOf(symbol) : MergeTable::Split{};
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
  if (out_.ids.size() == out_.ids.capacity()) MakeRoom(out_, n_source_, source_at_, max_tokens_);
  out_.ids.push_back(id);
  out_.byte_start.push_back(begin);
  out_.byte_end.push_back(source_at_);
}

}  // namespace

SentencePieceTables::SentencePieceTables(const files::Vocabulary& vocabulary)
    : merges(vocabulary),
      unknown_id(vocabulary.unknown_id),
      add_space_prefix(vocabulary.add_space_prefix),
      remove_extra_spaces(vocabulary.remove_extra_whitespaces) {
  byte_pieces.fill(kNone);
  size_t n_user_defined_bytes = 0;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const auto& piece = vocabulary.pieces[id];
    if (piece.type == PieceType::kByte) {
      const int32_t value = files::ByteOfPiece(piece.text);
      if (value != kNone) byte_pieces[value] = static_cast<int32_t>(id);
    }
    if (piece.type == PieceType::kUserDefined) {
      n_user_defined_bytes += piece.text.size();
      AddUserDefined(piece.text, static_cast<int32_t>(id), n_user_defined_bytes);
    }
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) {
      // One without a text, or with a page of it, is never spelled in a text.
      if (piece.text.empty() || piece.text.size() > kMaxSpecialBytes) continue;
      files::AddedToken special = {.id = static_cast<int32_t>(id), .text = piece.text};
      special.special = true;
      specials.Add(special, piece.text);
    }
  }
  for (uint32_t c = 0; c < 128; ++c) {
    ascii_symbols[c] = merges.CharacterSymbol(c == ' ' ? kSpaceCodePoint : c);
  }
}

void SentencePieceTables::AddUserDefined(const std::string& piece, int32_t id,
                                         size_t n_bytes_together) {
  if (piece.size() > MergeTable::kMaxPieceBytes || n_bytes_together > kMaxUserDefinedBytes) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot use the vocabulary: user-defined piece {} has {} bytes, with "
                            "those before {}: at most {} and {} are supported",
                            id, piece.size(), n_bytes_together, MergeTable::kMaxPieceBytes,
                            kMaxUserDefinedBytes));
  }
  if (FindBrokenUtf8(piece) != std::string_view::npos) return;  // never in normalised text
  user_defined.Add(piece, id);
  if (remove_extra_spaces) literal_user_defined.Add(piece, id);
}

void EncodeSentencePieces(const SentencePieceTables& tables, EncoderScratch& scratch,
                          std::string_view text, bool add_space_prefix, size_t max_tokens,
                          Encoding& out) {
  out.clear();
  Encoder(tables, scratch, add_space_prefix, out).Run(text, max_tokens);
}

}  // namespace moescope::text
