#include "text/piece_trie.h"

namespace moescope::text {
namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";

}  // namespace

// The byte at `position`, U+2581 as a space where they are alike; moves past it.
uint8_t PieceTrie::Read(std::string_view text, size_t& position) const {
  if (spaces_ == Spaces::kAlike && text.substr(position, 3) == kSpaceSymbol) {
    position += 3;
    return ' ';
  }
  return static_cast<uint8_t>(text[position++]);
}

uint32_t PieceTrie::Next(uint32_t node, uint8_t byte) const {
  for (const auto& [label, next] : nodes_[node].next) {
    if (label == byte) return next;
  }
  return 0;
}

void PieceTrie::Add(std::string_view piece, int32_t id) {
  if (piece.empty()) return;
  // Normalised text has no spaces, so a piece with one never matches there.
  const bool alike = spaces_ == Spaces::kAlike;
  if (alike && piece.find(' ') != std::string_view::npos) return;
  uint32_t node = 0;
  for (size_t at = 0; at < piece.size();) {
    const uint8_t byte = Read(piece, at);
    uint32_t next = Next(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_[node].next.emplace_back(byte, next);
      nodes_.push_back({});
    }
    node = next;
  }
  if (nodes_[node].id < 0) nodes_[node].id = id;
  starts_[static_cast<uint8_t>(piece[0])] = true;
  if (alike && piece.substr(0, 3) == kSpaceSymbol) starts_[' '] = true;
}

PieceTrie::Match PieceTrie::Longest(std::string_view text, size_t position) const {
  Match match;
  uint32_t node = 0;
  for (size_t at = position; at < text.size();) {
    node = Next(node, Read(text, at));
    if (node == 0) break;
    if (nodes_[node].id >= 0) match = {nodes_[node].id, at - position};
  }
  return match;
}

}  // namespace moescope::text
