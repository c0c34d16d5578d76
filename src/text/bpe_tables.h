// A BPE vocabulary of characters or bytes as encoding needs it: first symbols, merges by pairs, and
// between which symbols nothing can ever merge. The algorithm: docs/tokenizers.md.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/vocabulary.h"
#include "text/character_map.h"
#include "text/pair_table.h"

namespace moescope::text {

// Symbols are piece ids. Immutable and thread-safe.
class BpeTables {
 public:
  static constexpr int32_t kNone = PairTable::kNone;

  explicit BpeTables(const files::Vocabulary& vocabulary);

  const PairTable& pairs() const { return pairs_; }
  bool byte_level() const { return byte_level_; }
  int32_t unknown_id() const { return unknown_id_; }  // kNone: what is unknown is left out
  bool fuse_unknown() const { return fuse_unknown_; }
  bool ignore_merges() const { return ignore_merges_; }

  // What a word is at first, one or some bytes at a time.
  struct Unit {
    enum class Kind : uint8_t { kSymbol, kBytes, kUnknown, kLeftOut };
    Kind kind;
    uint8_t n_bytes;
    uint8_t link;    // of kSymbol: what neighbours are told apart by
    int32_t symbol;  // of kSymbol
  };
  // Requires: at < word.size().
  Unit UnitAt(std::string_view word, size_t at) const;
  // The piece of a byte, for units of kBytes.
  int32_t BytePiece(uint8_t byte) const { return byte_symbols_[byte]; }
  // False where no merge could ever span the two: a word may be cut there.
  bool MayMerge(const Unit& left, const Unit& right) const;
  // The piece a whole word is, kNone for others. Requires: ignore_merges().
  int32_t WholeWord(std::string_view word) const;

 private:
  void SetFirstSymbols(const files::Vocabulary& vocabulary);
  void SetByteSymbols(const files::Vocabulary& vocabulary);
  void SetMerges(const files::Vocabulary& vocabulary);
  void NoteNeighbours(const files::Vocabulary& vocabulary);
  void Link(int32_t left, int32_t right);
  uint8_t LinkOf(int32_t symbol) const;
  void IndexWords(const files::Vocabulary& vocabulary);

  bool byte_level_;
  bool byte_fallback_;
  int32_t unknown_id_;
  bool fuse_unknown_;
  bool ignore_merges_;
  CharacterMap characters_;            // unless byte level
  std::vector<int32_t> byte_symbols_;  // [256]
  std::vector<uint8_t> links_;         // of each piece
  PairTable pairs_;
  // Merges that could begin from two things at once, or from unknown ones: words are never cut.
  bool whole_words_ = false;
  bool bytes_merge_ = false;        // byte pieces of the fallback take part in merges
  bool spaces_start_words_ = true;  // U+2581 follows only itself
  std::bitset<256 * 256> linked_;   // by link
  std::vector<bool> goes_on_after_, goes_on_before_;  // of each piece that is a first symbol
  std::unordered_map<std::string, int32_t> words_;
  size_t longest_word_ = 0;
};

}  // namespace moescope::text
