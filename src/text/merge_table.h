// A SentencePiece BPE vocabulary as merging needs it: characters and pieces as symbols, which two
// neighbours merge, in which order, and between which characters nothing can ever merge.
// The algorithm: docs/tokenizers.md.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/vocabulary.h"
#include "text/character_map.h"
#include "text/pair_table.h"
#include "text/piece_index.h"

namespace moescope::text {

// A symbol below n_pieces() is the piece of that id; above are characters that occur inside pieces
// but are none themselves. Immutable and thread-safe.
class MergeTable {
 public:
  static constexpr int32_t kNone = PairTable::kNone;
  // Longest piece that takes part in merging. Published vocabularies stay below 200 bytes; the
  // bound keeps a hostile file from costing time quadratic in the length of a piece.
  static constexpr size_t kMaxPieceBytes = 512;

  // Ways to make all pieces together: ten times what a vocabulary of 256,000 has, 400 MB.
  static constexpr size_t kMaxMerges = size_t{1} << 23;

  // Throws Error(kUnsupported) for more.
  explicit MergeTable(const files::Vocabulary& vocabulary);

  int n_pieces() const { return n_pieces_; }
  // Symbol of a character of normalised text, kNone if no piece holds it.
  int32_t CharacterSymbol(uint32_t code_point) const { return characters_.Find(code_point); }
  // `left` and `right` merge where their joined text is a piece; equal scores share a rank.
  const PairTable& pairs() const { return pairs_; }
  uint32_t n_characters(int32_t symbol) const { return n_characters_[symbol]; }

  // Whether some piece holds ASCII character `a` followed by `b`; ' ' stands for U+2581.
  bool Adjoin(uint8_t a, uint8_t b) const { return ascii_pairs_[a * 128u + b]; }
  // Whether some piece goes on after, or before, this character.
  bool GoesOnAfter(int32_t character) const { return goes_on_after_[character]; }
  bool GoesOnBefore(int32_t character) const { return goes_on_before_[character]; }
  // Whether U+2581 follows another character in no piece: then words are independent.
  bool spaces_start_words() const { return spaces_start_words_; }

  // Pieces of type "unused" are merged through, then taken apart again. True when the parts depend
  // on the order of merges in the whole text, because a piece has several.
  bool splits_depend_on_order() const { return splits_depend_on_order_; }
  bool IsUnused(int32_t symbol) const {
    return symbol < n_pieces_ && !unused_.empty() && unused_[symbol];
  }
  struct Split {
    int32_t left = kNone, right = kNone;
  };
  // The only split of an unused piece; {kNone, kNone} if it cannot be taken apart.
  Split SplitOf(int32_t symbol) const;

 private:
  void AddCharacters(const PieceIndex::Parts& piece, PieceIndex& index);
  void AddMerges(const PieceIndex::Parts& piece, int32_t symbol, const PieceIndex& index,
                 std::vector<PairTable::Merge>& merges) const;
  void NoteNeighbours(std::string_view piece);
  // Order of merging of each piece that merges make; the number of ranks is set.
  std::vector<uint32_t> RankPieces(const files::Vocabulary& vocabulary,
                                   const std::vector<bool>& merged, uint32_t& n_ranks) const;

  int n_pieces_ = 0;
  CharacterMap characters_;
  PairTable pairs_;
  std::vector<uint32_t> n_characters_;
  std::bitset<128 * 128> ascii_pairs_;
  std::vector<bool> goes_on_after_, goes_on_before_;
  bool spaces_start_words_ = true;
  std::vector<bool> unused_;
  std::unordered_map<int32_t, Split> splits_;
  bool splits_depend_on_order_ = false;
};

}  // namespace moescope::text
