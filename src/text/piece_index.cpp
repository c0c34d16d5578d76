#include "text/piece_index.h"

#include <algorithm>
#include <bit>

namespace moescope::text {
namespace {

// Polynomials modulo the Mersenne prime 2^61 - 1, with an arbitrary large base: the hash of a part
// follows from those of two prefixes.
constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
constexpr uint64_t kBase = 0x1B873593CC9E2D51u % kPrime;

uint64_t Multiply(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  const uint64_t sum =
      static_cast<uint64_t>(product & kPrime) + static_cast<uint64_t>(product >> 61);
  return sum >= kPrime ? sum - kPrime : sum;
}

uint64_t Add(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum >= kPrime ? sum - kPrime : sum;
}

// kBase to the power of n.
uint64_t Power(size_t n) {
  static const std::vector<uint64_t> powers = [] {
    std::vector<uint64_t> values = {1};
    for (int i = 0; i < 1024; ++i) values.push_back(Multiply(values.back(), kBase));
    return values;
  }();
  uint64_t power = 1;
  for (; n >= powers.size(); n -= powers.size() - 1) power = Multiply(power, powers.back());
  return Multiply(power, powers[n]);
}

}  // namespace

PieceIndex::Parts::Parts(std::string_view text) : text_(text) {
  prefixes_.reserve(text.size() + 1);
  prefixes_.push_back(0);
  for (const char c : text) {
    const uint64_t value = static_cast<uint8_t>(c) + uint64_t{1};  // so that leading zeros count
    prefixes_.push_back(text::Add(Multiply(prefixes_.back(), kBase), value));
  }
}

uint64_t PieceIndex::Parts::Hash(size_t begin, size_t end) const {
  return text::Add(prefixes_[end], kPrime - Multiply(prefixes_[begin], Power(end - begin)));
}

PieceIndex::PieceIndex(size_t n_expected) : entries_(std::bit_ceil(2 * n_expected + 16)) {}

size_t PieceIndex::FindSlot(uint64_t hash, std::string_view text) const {
  const size_t mask = entries_.size() - 1;
  for (size_t slot = (hash ^ hash >> 29) & mask;; slot = (slot + 1) & mask) {
    const Entry& entry = entries_[slot];
    if (entry.text.empty() || (entry.hash == hash && entry.text == text)) return slot;
  }
}

int32_t PieceIndex::Find(const Parts& parts, size_t begin, size_t end) const {
  const size_t length = end - begin;
  if (length >= lengths_.size() || !lengths_[length]) return kNone;
  return entries_[FindSlot(parts.Hash(begin, end), parts.text().substr(begin, length))].symbol;
}

int32_t PieceIndex::Add(const Parts& parts, size_t begin, size_t end, int32_t symbol) {
  if (2 * (n_used_ + 1) > entries_.size()) Grow();
  const std::string_view text = parts.text().substr(begin, end - begin);
  const uint64_t hash = parts.Hash(begin, end);
  Entry& entry = entries_[FindSlot(hash, text)];
  if (entry.text.empty()) {
    entry = {hash, text, symbol};
    ++n_used_;
    lengths_.resize(std::max(lengths_.size(), text.size() + 1));
    lengths_[text.size()] = true;
  }
  return entry.symbol;
}

void PieceIndex::Grow() {
  std::vector<Entry> old(2 * entries_.size());
  old.swap(entries_);
  for (const Entry& entry : old) {
    if (!entry.text.empty()) entries_[FindSlot(entry.hash, entry.text)] = entry;
  }
}

}  // namespace moescope::text
