#include "text/merger.h"

#include <algorithm>
#include <functional>

namespace moescope::text {
namespace {

constexpr int32_t kNone = MergeTable::kNone;
constexpr uint32_t kNoRank = UINT32_MAX;

// A run of the long path lies in an array with one cell an entry. A symbol has its id in the first
// cell it covers and, if it covers more, the complement of how many in its second and its last, so
// that both neighbours are found without links. Cells between are dead. Barriers are kBarrier.
constexpr int32_t kBarrier = INT32_MIN;
constexpr int32_t kDead = INT32_MIN + 1;

}  // namespace

void Merger::Merge(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths) {
  if (unused_ != nullptr) last_splits_.clear();
  if (lengths != nullptr) lengths->assign(symbols.size(), 1);
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShort) {
    MergeShort(symbols, lengths);
  } else {
    MergeLong(symbols, lengths);
  }
}

MergeTable::Split Merger::SplitOf(int32_t symbol) const {
  const auto found = last_splits_.find(symbol);
  return found == last_splits_.end() ? MergeTable::Split{} : found->second;
}

// The merge of two neighbours, and a note of it if it is an unused piece whose parts depend on the
// order: the last pair looked at counts, wherever it is.
PairTable::Found Merger::Candidate(int32_t left, int32_t right) {
  ++n_steps_;
  if (left < 0 || right < 0) return {};
  const PairTable::Found found = pairs_.Find(left, right);
  if (found.merged != kNone && unused_ != nullptr && unused_->IsUnused(found.merged)) {
    last_splits_[found.merged] = {left, right};
  }
  return found;
}

void Merger::MergeShort(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths) {
  uint32_t ranks[kShort];  // of the pair (i, i + 1)
  int32_t merged[kShort];  // what it becomes
  size_t n = symbols.size();
  const auto look = [&](size_t i) {
    const PairTable::Found found = Candidate(symbols[i], symbols[i + 1]);
    merged[i] = found.merged;
    ranks[i] = found.merged == kNone ? kNoRank : found.rank;
  };
  for (size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    const size_t best = std::min_element(ranks, ranks + n - 1) - ranks;
    if (ranks[best] == kNoRank) break;
    symbols[best] = merged[best];
    std::copy(symbols.begin() + best + 2, symbols.begin() + n, symbols.begin() + best + 1);
    std::copy(ranks + best + 1, ranks + n - 1, ranks + best);
    std::copy(merged + best + 1, merged + n - 1, merged + best);
    if (lengths != nullptr) {
      (*lengths)[best] += (*lengths)[best + 1];
      lengths->erase(lengths->begin() + static_cast<ptrdiff_t>(best) + 1);
    }
    --n;
    if (best > 0) look(best - 1);
    if (best + 1 < n) look(best);
  }
  symbols.resize(n);
}

// Of the symbol whose first cell this is.
uint32_t Merger::Length(size_t position) const {
  if (position + 1 >= cells_.size()) return 1;
  const int32_t second = cells_[position + 1];
  return second >= 0 || second == kBarrier ? 1 : static_cast<uint32_t>(~second);
}

uint32_t Merger::StartBefore(uint32_t position) const {
  const int32_t last = cells_[position - 1];
  if (last >= 0 || last == kBarrier) return position - 1;
  return position - static_cast<uint32_t>(~last);
}

void Merger::Propose(uint32_t position, int32_t left, int32_t right) {
  const PairTable::Found found = Candidate(left, right);
  if (found.merged == kNone) return;
  const uint32_t rank = found.rank;
  Bucket& bucket = buckets_[rank];
  if (bucket.open) {
    late_.push_back(static_cast<uint64_t>(rank) << 32 | position);
    std::push_heap(late_.begin(), late_.end(), std::greater<>());
    return;
  }
  uint32_t node = free_;
  if (node == kNoNode) {
    node = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({});
  } else {
    free_ = nodes_[node].next;
  }
  nodes_[node] = {position, kNoNode};
  if (bucket.head == kNoNode) {
    bucket.head = node;
    ranks_.push_back(rank);
    std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
  } else {
    bucket.sorted = bucket.sorted && nodes_[bucket.tail].position <= position;
    nodes_[bucket.tail].next = node;
  }
  bucket.tail = node;
}

void Merger::SortBucket(Bucket& bucket) {
  positions_.clear();
  for (uint32_t node = bucket.head; node != kNoNode; node = nodes_[node].next) {
    positions_.push_back(nodes_[node].position);
  }
  std::sort(positions_.begin(), positions_.end());
  size_t i = 0;
  for (uint32_t node = bucket.head; node != kNoNode; node = nodes_[node].next) {
    nodes_[node].position = positions_[i++];
  }
}

bool Merger::TakeBest(uint32_t& rank, uint32_t& position) {
  if (ranks_.empty() && late_.empty()) return false;
  uint64_t first = UINT64_MAX;
  if (!ranks_.empty()) {
    Bucket& bucket = buckets_[ranks_.front()];
    if (!bucket.open) {
      if (!bucket.sorted) SortBucket(bucket);
      bucket.open = true;
    }
    first = static_cast<uint64_t>(ranks_.front()) << 32 | nodes_[bucket.head].position;
  }
  if (!late_.empty() && late_.front() < first) {
    first = late_.front();
    std::pop_heap(late_.begin(), late_.end(), std::greater<>());
    late_.pop_back();
  } else {
    Bucket& bucket = buckets_[ranks_.front()];
    const uint32_t node = bucket.head;
    bucket.head = nodes_[node].next;
    nodes_[node].next = free_;
    free_ = node;
    if (bucket.head == kNoNode) {
      bucket = {};
      std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
      ranks_.pop_back();
    }
  }
  rank = static_cast<uint32_t>(first >> 32);
  position = static_cast<uint32_t>(first);
  return true;
}

void Merger::MergeLong(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths) {
  const size_t n = symbols.size();
  cells_.swap(symbols);
  symbols.clear();
  for (int32_t& cell : cells_) {
    if (cell < 0) cell = kBarrier;
  }
  buckets_.resize(pairs_.n_ranks());
  nodes_.clear();
  free_ = kNoNode;
  for (size_t i = 0; i + 1 < n; ++i) {
    Propose(static_cast<uint32_t>(i), cells_[i], cells_[i + 1]);
  }
  uint32_t rank, position;
  while (TakeBest(rank, position)) {
    // Stale unless the pair that now starts here has this rank; then it is due just now anyway.
    const int32_t left = cells_[position];
    if (left < 0) continue;
    const uint32_t left_length = Length(position);
    const size_t right_position = position + size_t{left_length};
    if (right_position >= n) continue;
    const int32_t right = cells_[right_position];
    ++n_steps_;
    const PairTable::Found found = right < 0 ? PairTable::Found{} : pairs_.Find(left, right);
    if (found.merged == kNone || found.rank != rank) continue;
    const uint32_t length = left_length + Length(right_position);
    cells_[right_position - 1] = kDead;
    cells_[right_position] = kDead;
    cells_[position] = found.merged;
    cells_[position + 1] = cells_[position + length - 1] = ~static_cast<int32_t>(length);
    if (position > 0) {
      const uint32_t before = StartBefore(position);
      Propose(before, cells_[before], found.merged);
    }
    const size_t after = position + size_t{length};
    if (after < n) Propose(position, found.merged, cells_[after]);
  }
  if (lengths != nullptr) lengths->clear();
  for (size_t i = 0; i < n;) {
    const bool barrier = cells_[i] == kBarrier;
    const uint32_t length = barrier ? 1 : Length(i);
    symbols.push_back(barrier ? kNone : cells_[i]);
    if (lengths != nullptr) lengths->push_back(length);
    i += length;
  }
  cells_.clear();
}

}  // namespace moescope::text
