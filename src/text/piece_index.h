// Which symbol a text is, asked about every part of every piece: a part's hash costs nothing once
// the whole piece has been read.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace moescope::text {

// Texts are kept as views: they must outlive the index. Not thread-safe while filled.
class PieceIndex {
 public:
  static constexpr int32_t kNone = -1;

  // Hashes of all parts of one text; the text must outlive it.
  class Parts {
   public:
    explicit Parts(std::string_view text);
    std::string_view text() const { return text_; }
    // Hash of bytes [begin, end).
    uint64_t Hash(size_t begin, size_t end) const;

   private:
    std::string_view text_;
    std::vector<uint64_t> prefixes_;  // hash of the first i bytes
  };

  explicit PieceIndex(size_t n_expected);
  // The symbol of bytes [begin, end) of a text, kNone if it is none.
  int32_t Find(const Parts& parts, size_t begin, size_t end) const;
  // Returns the symbol the text has: `symbol`, or the one it was given before.
  int32_t Add(const Parts& parts, size_t begin, size_t end, int32_t symbol);

 private:
  struct Entry {
    uint64_t hash = 0;
    std::string_view text;  // empty: free
    int32_t symbol = kNone;
  };
  size_t FindSlot(uint64_t hash, std::string_view text) const;
  void Grow();

  std::vector<Entry> entries_;  // a power of two, at most half full
  size_t n_used_ = 0;
  std::vector<bool> lengths_;  // of the texts there are, in bytes
};

}  // namespace moescope::text
