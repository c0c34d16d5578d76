// Added tokens in a text: where they are, and what lies between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "files/vocabulary.h"
#include "text/piece_trie.h"

namespace moescope::text {

// Immutable and thread-safe once filled. Reading is linear in the text for any bounded tokens.
class AddedTokens {
 public:
  static constexpr size_t kMaxTokenBytes = 512;
  static constexpr size_t kMaxBytesTogether = 4 << 20;

  // `text`: how the token is to be found, which normalising may have changed.
  // Throws Error(kUnsupported) beyond the limits, or for an empty text.
  void Add(const files::AddedToken& token, const std::string& text);
  bool empty() const { return tokens_.empty(); }

  struct Match {
    const files::AddedToken* token = nullptr;  // null: plain text
    size_t begin = 0, end = 0;
  };
  // Walks over one text: plain stretches and tokens in turn, none of the plain ones empty. A token
  // inside the white space that one before it took is a token all the same, and what follows it is
  // text again: then matches overlap.
  class Walk {
   public:
    // specials: whether special tokens are found; otherwise they are part of the text.
    Walk(const AddedTokens& tokens, std::string_view text, bool specials)
        : tokens_(tokens), text_(text), specials_(specials) {}
    // False at the end.
    bool Next(Match& match);

   private:
    bool Accept(const files::AddedToken& token, size_t begin, size_t end, Match& match);
    size_t EndOfSpaces(size_t at);

    const AddedTokens& tokens_;
    std::string_view text_;
    bool specials_;
    size_t search_ = 0;                         // where the next token may begin
    size_t done_ = 0;                           // delivered so far
    size_t spaces_begin_ = 0, spaces_end_ = 0;  // the last run of white space looked at
    Match pending_;                             // found behind a plain stretch
  };

 private:
  PieceTrie trie_{PieceTrie::Spaces::kLiteral};
  std::vector<files::AddedToken> tokens_;
  size_t n_bytes_ = 0;
};

}  // namespace moescope::text
