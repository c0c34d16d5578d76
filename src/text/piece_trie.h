// The longest user-defined piece at a place of the text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace moescope::text {

// Immutable once filled.
class PieceTrie {
 public:
  // Whether a space of the text and U+2581 are the same, as normalisation makes them.
  enum class Spaces { kAlike, kLiteral };
  explicit PieceTrie(Spaces spaces) : spaces_(spaces) {}

  void Add(std::string_view piece, int32_t id);
  bool empty() const { return nodes_.size() == 1; }

  struct Match {
    int32_t id = -1;  // -1: none
    size_t n_bytes = 0;
  };
  Match Longest(std::string_view text, size_t position) const;
  // Quick refusal by the first byte.
  bool MayStart(uint8_t byte) const { return starts_[byte]; }

 private:
  struct Node {
    int32_t id = -1;
    std::vector<std::pair<uint8_t, uint32_t>> next;  // by byte; nearly always one
  };
  uint8_t Read(std::string_view text, size_t& position) const;
  // The node after `node` by `byte`, 0 if there is none.
  uint32_t Next(uint32_t node, uint8_t byte) const;

  Spaces spaces_;
  std::vector<Node> nodes_ = {Node{}};
  std::array<bool, 256> starts_ = {};
};

}  // namespace moescope::text
