// Encodings of short words seen lately: most words of a text are repeats, and looking one up costs
// less than merging it again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace moescope::text {

// Bounded and direct-mapped: a newcomer replaces what lies in its slot. Not thread-safe.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 30;
  static constexpr size_t kMaxTokens = 6;
  // One cache line. n_bytes 0: empty.
  struct alignas(64) Entry {
    uint8_t n_bytes = 0;
    uint8_t n_tokens = 0;
    char bytes[kMaxBytes];
    int32_t ids[kMaxTokens];
    uint8_t token_bytes[kMaxTokens];
  };

  // The slot of a word; Holds says whether its content is of that word.
  // Requires: 0 < word.size() <= kMaxBytes.
  Entry& Slot(std::string_view word) {
    if (entries_.empty()) entries_.resize(kSlots);
    return entries_[Hash(word) & (kSlots - 1)];
  }
  static bool Holds(const Entry& entry, std::string_view word) {
    return entry.n_bytes == word.size() && std::memcmp(entry.bytes, word.data(), word.size()) == 0;
  }

 private:
  // 2 MB: about the second-level cache, and 95 % hits on 4 MB of novels.
  static constexpr size_t kSlots = 1 << 15;

  static uint64_t Hash(std::string_view word) {
    uint64_t hash = word.size() * 0x9E3779B97F4A7C15u;
    size_t at = 0;
    for (; at + 8 <= word.size(); at += 8) {
      uint64_t chunk;
      std::memcpy(&chunk, word.data() + at, 8);
      hash = Mix(hash ^ chunk);
    }
    uint64_t rest = 0;
    std::memcpy(&rest, word.data() + at, word.size() - at);
    return Mix(hash ^ rest);
  }
  static uint64_t Mix(uint64_t value) {
    value *= 0xFF51AFD7ED558CCDu;
    return value ^ (value >> 32);
  }

  std::vector<Entry> entries_;
};

}  // namespace moescope::text
