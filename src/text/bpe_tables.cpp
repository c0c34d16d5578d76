#include "text/bpe_tables.h"

#include <algorithm>
#include <numeric>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using files::PieceType;
using files::Vocabulary;

constexpr uint32_t kSpaceSymbol = 0x2581;
// Links of a vocabulary of characters: ASCII is itself, then U+2581, then all others.
constexpr uint8_t kSpaceLink = 128;
constexpr uint8_t kOtherLink = 129;

// Whether text may become the piece: added tokens that only come on top of a model may not.
std::vector<bool> PiecesOfModel(const Vocabulary& vocabulary) {
  std::vector<bool> of_model(vocabulary.pieces.size());
  for (size_t id = 0; id < of_model.size(); ++id) {
    of_model[id] = vocabulary.pieces[id].type != PieceType::kUnused;
  }
  for (const files::AddedToken& token : vocabulary.added_tokens) {
    if (!token.in_model) of_model[static_cast<size_t>(token.id)] = false;
  }
  return of_model;
}

}  // namespace

BpeTables::BpeTables(const Vocabulary& vocabulary)
    : byte_level_(vocabulary.IsByteLevel()),
      byte_fallback_(vocabulary.byte_fallback),
      unknown_id_(vocabulary.unknown_id),
      fuse_unknown_(vocabulary.fuse_unknown),
      ignore_merges_(vocabulary.ignore_merges),
      byte_symbols_(256, kNone),
      links_(vocabulary.pieces.size(), kOtherLink) {
  SetFirstSymbols(vocabulary);
  SetByteSymbols(vocabulary);
  SetMerges(vocabulary);
  NoteNeighbours(vocabulary);
  if (ignore_merges_) IndexWords(vocabulary);
}

// Pieces of one character.
void BpeTables::SetFirstSymbols(const Vocabulary& vocabulary) {
  const std::vector<bool> of_model = PiecesOfModel(vocabulary);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const std::string& text = vocabulary.pieces[id].text;
    if (!of_model[id] || text.empty()) continue;
    const Utf8Step step = StepUtf8(text, 0);
    if (!step.valid || step.n_bytes != text.size()) continue;
    const auto symbol = static_cast<int32_t>(id);
    if (byte_level_) {
      const int byte = ByteOfCharacter(step.code_point);
      if (byte < 0) continue;
      byte_symbols_[static_cast<size_t>(byte)] = symbol;
      links_[id] = static_cast<uint8_t>(byte);
    } else {
      characters_.Set(step.code_point, symbol);
      links_[id] = step.code_point < 128             ? static_cast<uint8_t>(step.code_point)
                   : step.code_point == kSpaceSymbol ? kSpaceLink
                                                     : kOtherLink;
    }
  }
}

void BpeTables::SetByteSymbols(const Vocabulary& vocabulary) {
  if (!byte_fallback_) return;
  byte_fallback_ = false;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const int byte = files::ByteOfPiece(vocabulary.pieces[id].text);
    if (byte < 0) continue;
    byte_symbols_[static_cast<size_t>(byte)] = static_cast<int32_t>(id);
    byte_fallback_ = true;  // a vocabulary has all of them or none
  }
}

void BpeTables::SetMerges(const Vocabulary& vocabulary) {
  std::vector<PairTable::Merge> merges;
  merges.reserve(vocabulary.merges.size());
  for (const Vocabulary::Merge& merge : vocabulary.merges) {
    merges.push_back({merge.left, merge.right, merge.merged, static_cast<uint32_t>(merges.size())});
  }
  pairs_ = PairTable(merges, static_cast<uint32_t>(std::max<size_t>(merges.size(), 1)));
}

uint8_t BpeTables::LinkOf(int32_t symbol) const {
  return links_[static_cast<size_t>(symbol)];
}

void BpeTables::Link(int32_t left, int32_t right) {
  linked_.set(LinkOf(left) * 256u + LinkOf(right));
  goes_on_after_[static_cast<size_t>(left)] = true;
  goes_on_before_[static_cast<size_t>(right)] = true;
  if (!byte_level_ && LinkOf(right) == kSpaceLink && LinkOf(left) != kSpaceLink) {
    spaces_start_words_ = false;
  }
}

// Every merge brings the last first symbol of its left part next to the first of its right part.
void BpeTables::NoteNeighbours(const Vocabulary& vocabulary) {
  const size_t n_pieces = vocabulary.pieces.size();
  goes_on_after_.resize(n_pieces);
  goes_on_before_.resize(n_pieces);
  std::vector<int32_t> first(n_pieces, kNone), last(n_pieces, kNone);
  const auto is_byte = [&](int32_t id) {
    return byte_fallback_ &&
           files::ByteOfPiece(vocabulary.pieces[static_cast<size_t>(id)].text) >= 0;
  };
  const auto begin_with = [&](int32_t id) {
    if (id != kNone) first[static_cast<size_t>(id)] = last[static_cast<size_t>(id)] = id;
  };
  for (const int32_t id : byte_symbols_) begin_with(id);
  for (size_t id = 0; id < n_pieces; ++id) {
    const std::string& text = vocabulary.pieces[id].text;
    if (byte_level_ || text.empty()) continue;
    const Utf8Step step = StepUtf8(text, 0);
    const auto symbol = static_cast<int32_t>(id);
    if (step.n_bytes == text.size() && characters_.Find(step.code_point) == symbol) {
      begin_with(symbol);
    }
  }
  // Parts are shorter than what they make, so by length each is known when it is needed.
  std::vector<uint32_t> order(vocabulary.merges.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const auto size = [&](uint32_t i) {
      return vocabulary.pieces[static_cast<size_t>(vocabulary.merges[i].merged)].text.size();
    };
    return size(a) < size(b);
  });
  for (const uint32_t index : order) {
    const Vocabulary::Merge& merge = vocabulary.merges[index];
    whole_words_ = whole_words_ || merge.left == unknown_id_ || merge.right == unknown_id_ ||
                   merge.merged == unknown_id_;
    const auto left = static_cast<size_t>(merge.left), right = static_cast<size_t>(merge.right);
    const auto merged = static_cast<size_t>(merge.merged);
    if (first[left] == kNone || first[right] == kNone) continue;  // never comes about
    bytes_merge_ = bytes_merge_ || is_byte(last[left]) || is_byte(first[right]);
    Link(last[left], first[right]);
    const bool again = first[merged] != kNone;
    whole_words_ =
        whole_words_ || (again && (first[merged] != first[left] || last[merged] != last[right]));
    first[merged] = first[left];
    last[merged] = last[right];
  }
}

void BpeTables::IndexWords(const Vocabulary& vocabulary) {
  const std::vector<bool> of_model = PiecesOfModel(vocabulary);
  std::string bytes;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const std::string& text = vocabulary.pieces[id].text;
    if (!of_model[id] || text.empty()) continue;
    if (byte_level_ && !BytesOfSpelling(text, bytes)) continue;
    const std::string& word = byte_level_ ? bytes : text;
    longest_word_ = std::max(longest_word_, word.size());
    words_.emplace(word, static_cast<int32_t>(id));
  }
}

int32_t BpeTables::WholeWord(std::string_view word) const {
  if (word.size() > longest_word_) return kNone;
  const auto found = words_.find(std::string(word));
  return found == words_.end() ? kNone : found->second;
}

BpeTables::Unit BpeTables::UnitAt(std::string_view word, size_t at) const {
  const auto byte = static_cast<uint8_t>(word[at]);
  const auto unknown = unknown_id_ == kNone ? Unit::Kind::kLeftOut : Unit::Kind::kUnknown;
  if (byte_level_) {
    const int32_t symbol = byte_symbols_[byte];
    return {symbol == kNone ? unknown : Unit::Kind::kSymbol, 1, byte, symbol};
  }
  const Utf8Step step = StepUtf8(word, at);
  const int32_t symbol = step.valid ? characters_.Find(step.code_point) : kNone;
  if (symbol != kNone) return {Unit::Kind::kSymbol, step.n_bytes, LinkOf(symbol), symbol};
  return {byte_fallback_ ? Unit::Kind::kBytes : unknown, step.n_bytes, kOtherLink, kNone};
}

bool BpeTables::MayMerge(const Unit& left, const Unit& right) const {
  using Kind = Unit::Kind;
  if (whole_words_ || left.kind == Kind::kLeftOut || right.kind == Kind::kLeftOut) return true;
  if (left.kind == Kind::kBytes || right.kind == Kind::kBytes) return bytes_merge_;
  if (left.kind == Kind::kUnknown || right.kind == Kind::kUnknown) {
    return fuse_unknown_ && left.kind == right.kind;
  }
  if (byte_level_ || (left.link != kOtherLink && right.link != kOtherLink)) {
    return linked_[left.link * 256u + right.link];
  }
  if (right.link == kSpaceLink && spaces_start_words_) return false;
  return goes_on_after_[static_cast<size_t>(left.symbol)] &&
         goes_on_before_[static_cast<size_t>(right.symbol)];
}

}  // namespace moescope::text
