// Which two neighbouring symbols merge, into what, and in which order: all that merging looks up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moescope::text {

// Symbols are numbers from 0; what they stand for is the caller's. Immutable and thread-safe once
// filled.
class PairTable {
 public:
  static constexpr int32_t kNone = -1;
  struct Merge {
    int32_t left, right;
    int32_t merged;
    uint32_t rank;  // smaller first; of equal ranks the leftmost
  };
  struct Found {
    int32_t merged = kNone;
    uint32_t rank = 0;
  };

  PairTable() : PairTable({}, 1) {}
  // Of equal pairs the last counts. Requires: ranks below n_ranks, symbols not negative.
  PairTable(const std::vector<Merge>& merges, uint32_t n_ranks);

  Found Find(int32_t left, int32_t right) const {
    const uint64_t key = Key(left, right);
    for (size_t slot = Slot(key);; slot = (slot + 1) & mask_) {
      if (entries_[slot].key == key) return entries_[slot].found;
      if (entries_[slot].key == kEmpty) return {};
    }
  }
  uint32_t n_ranks() const { return n_ranks_; }

 private:
  struct Entry {
    uint64_t key;
    Found found;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t Slot(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }

  std::vector<Entry> entries_;  // a power of two, at most half full
  size_t mask_ = 0;
  int shift_ = 0;
  uint32_t n_ranks_ = 0;
};

}  // namespace moescope::text
