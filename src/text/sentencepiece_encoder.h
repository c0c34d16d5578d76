// SentencePiece's way from text to pieces: spaces, user-defined pieces, merging, byte pieces.
// The algorithm: docs/tokenizers.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "files/vocabulary.h"
#include "text/added_tokens.h"
#include "text/merge_table.h"
#include "text/merger.h"
#include "text/piece_trie.h"
#include "text/tokenizer.h"
#include "text/word_cache.h"

namespace moescope::text {

// What every encoding shares, derived from the vocabulary once. Immutable and thread-safe.
struct SentencePieceTables {
  // User-defined pieces together; a hundred times what published vocabularies have.
  static constexpr size_t kMaxUserDefinedBytes = 4 << 20;
  static constexpr size_t kMaxSpecialBytes = 128;

  // Throws Error(kUnsupported) for pieces beyond the limits.
  explicit SentencePieceTables(const files::Vocabulary& vocabulary);

  MergeTable merges;
  PieceTrie user_defined{PieceTrie::Spaces::kAlike};
  PieceTrie literal_user_defined{PieceTrie::Spaces::kLiteral};  // to remove extra spaces
  AddedTokens specials;  // control pieces and the unknown one, where a text may mean them
  std::array<int32_t, 256> byte_pieces;    // kNone where the vocabulary has none
  std::array<int32_t, 128> ascii_symbols;  // ' ' as U+2581
  int32_t unknown_id;
  bool add_space_prefix;
  bool remove_extra_spaces;

 private:
  void AddUserDefined(const std::string& piece, int32_t id, size_t n_bytes_together);
};

// Memory an encoding works in, kept for the next one.
struct EncoderScratch {
  explicit EncoderScratch(const SentencePieceTables& tables) : merger(tables.merges) {}
  WordCache cache;
  Merger merger;
  std::vector<int32_t> symbols;
  std::vector<int32_t> unused_stack;
  std::string normalised;
  std::vector<uint32_t> offsets;
};

// Replaces `out` by the first `max_tokens` tokens of `text`. Requires: text.size() < 2^32.
void EncodeSentencePieces(const SentencePieceTables& tables, EncoderScratch& scratch,
                          std::string_view text, bool add_space_prefix, size_t max_tokens,
                          Encoding& out);

}  // namespace moescope::text
