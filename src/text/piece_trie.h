// The longest user-defined piece at a place of the text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
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
  };
  uint8_t Read(std::string_view text, size_t& position) const;
  static uint64_t Key(uint32_t node, uint8_t byte) { return uint64_t{node} << 8 | byte; }

  Spaces spaces_;
  std::vector<Node> nodes_ = {Node{}};
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::array<bool, 256> starts_ = {};
};

}  // namespace moescope::text
