#include "text/merge_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

constexpr uint32_t kSpaceSymbol = 0x2581;

// Pieces that text can become by merging. Control, unknown and byte pieces never match text;
// user-defined ones are cut out of the text before merging.
bool TakesPartInMerging(const files::Vocabulary::Piece& piece) {
  if (piece.type != files::PieceType::kNormal && piece.type != files::PieceType::kUnused) {
    return false;
  }
  // Normalised text is well-formed and has U+2581 for every space.
  return !piece.text.empty() && piece.text.find(' ') == std::string::npos &&
         FindBrokenUtf8(piece.text) == std::string_view::npos;
}

// 0..127 for ASCII, ' ' for U+2581, 128 for the rest.
uint32_t AsciiClass(uint32_t code_point) {
  if (code_point == kSpaceSymbol) return ' ';
  return std::min<uint32_t>(code_point, 128);
}

}  // namespace

MergeTable::MergeTable(const files::Vocabulary& vocabulary)
    : n_pieces_(static_cast<int>(vocabulary.pieces.size())) {
  PieceIndex index(vocabulary.pieces.size());
  n_characters_.assign(n_pieces_, 0);
  std::vector<bool> usable(n_pieces_, false);
  for (int id = 0; id < n_pieces_; ++id) {
    const auto& piece = vocabulary.pieces[id];
    if (!TakesPartInMerging(piece)) continue;
    if (piece.text.size() > kMaxPieceBytes) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot use the vocabulary: piece {} has {} bytes, at most {} are "
                              "supported",
                              id, piece.text.size(), kMaxPieceBytes));
    }
    // Of equal texts the first counts.
    usable[id] = index.Add(PieceIndex::Parts(piece.text), 0, piece.text.size(), id) == id;
    if (piece.type != files::PieceType::kUnused) continue;
    unused_.resize(n_pieces_);
    unused_[id] = true;
  }
  for (int id = 0; id < n_pieces_; ++id) {
    if (usable[id]) AddCharacters(PieceIndex::Parts(vocabulary.pieces[id].text), index);
  }
  goes_on_after_.resize(n_characters_.size());
  goes_on_before_.resize(n_characters_.size());
  std::vector<PairTable::Merge> merges;
  std::vector<bool> merged(n_pieces_, false);
  for (int id = 0; id < n_pieces_; ++id) {
    if (!usable[id]) continue;
    const std::string& text = vocabulary.pieces[id].text;
    NoteNeighbours(text);
    const size_t before = merges.size();
    AddMerges(PieceIndex::Parts(text), id, index, merges);
    if (merges.size() > kMaxMerges) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot use the vocabulary: its pieces can be made in more than {} "
                              "ways",
                              kMaxMerges));
    }
    merged[id] = merges.size() > before;
    if (merged[id] && IsUnused(id)) {
      splits_[id] = {merges.back().left, merges.back().right};
      splits_depend_on_order_ = splits_depend_on_order_ || merges.size() > before + 1;
    }
  }
  uint32_t n_ranks = 0;
  const std::vector<uint32_t> ranks = RankPieces(vocabulary, merged, n_ranks);
  for (PairTable::Merge& merge : merges) merge.rank = ranks[merge.merged];
  pairs_ = PairTable(merges, n_ranks);
}

MergeTable::Split MergeTable::SplitOf(int32_t symbol) const {
  const auto found = splits_.find(symbol);
  return found == splits_.end() ? Split{} : found->second;
}

void MergeTable::AddCharacters(const PieceIndex::Parts& piece, PieceIndex& index) {
  const std::string_view text = piece.text();
  uint32_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) {
    const Utf8Step step = StepUtf8(text, at);
    const auto fresh = static_cast<int32_t>(n_characters_.size());
    const int32_t symbol = index.Add(piece, at, at + step.n_bytes, fresh);
    if (symbol == fresh) n_characters_.push_back(1);
    characters_.Set(step.code_point, symbol);
    at += step.n_bytes;
  }
  n_characters_[index.Find(piece, 0, text.size())] = n;
}

void MergeTable::NoteNeighbours(std::string_view piece) {
  uint32_t previous = 0;
  for (size_t at = 0; at < piece.size();) {
    const Utf8Step step = StepUtf8(piece, at);
    if (at > 0) {
      const uint32_t a = AsciiClass(previous), b = AsciiClass(step.code_point);
      if (a < 128 && b < 128) ascii_pairs_.set(a * 128 + b);
      if (b == ' ' && a != ' ') spaces_start_words_ = false;
      goes_on_after_[CharacterSymbol(previous)] = true;
      goes_on_before_[CharacterSymbol(step.code_point)] = true;
    }
    previous = step.code_point;
    at += step.n_bytes;
  }
}

void MergeTable::AddMerges(const PieceIndex::Parts& piece, int32_t symbol, const PieceIndex& index,
                           std::vector<PairTable::Merge>& merges) const {
  const std::string_view text = piece.text();
  for (size_t at = 1; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
    const int32_t left = index.Find(piece, 0, at);
    if (left == kNone) continue;
    const int32_t right = index.Find(piece, at, text.size());
    if (right != kNone) merges.push_back({left, right, symbol, 0});
  }
}

std::vector<uint32_t> MergeTable::RankPieces(const files::Vocabulary& vocabulary,
                                             const std::vector<bool>& merged,
                                             uint32_t& n_ranks) const {
  const auto score = [&](int32_t id) {
    const float value = vocabulary.pieces[id].score;
    return std::isnan(value) ? -INFINITY : value;
  };
  std::vector<int32_t> order;
  for (int id = 0; id < n_pieces_; ++id) {
    if (merged[id]) order.push_back(id);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return score(a) > score(b); });
  std::vector<uint32_t> ranks(n_pieces_, 0);
  n_ranks = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && score(order[i]) != score(order[i - 1])) ++n_ranks;
    ranks[order[i]] = n_ranks;
  }
  ++n_ranks;
  return ranks;
}

}  // namespace moescope::text
