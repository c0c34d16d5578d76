// BPE merging of one run of characters, in time linear in its length but for sorting.
// The algorithm: docs/tokenizers.md.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/merge_table.h"

namespace moescope::text {

// Scratch of one encoding at a time; not thread-safe.
class Merger {
 public:
  explicit Merger(const MergeTable& table)
      : pairs_(table.pairs()), unused_(table.splits_depend_on_order() ? &table : nullptr) {}
  explicit Merger(const PairTable& pairs) : pairs_(pairs) {}

  // Replaces characters by the symbols that merging ends with: the pair of the best rank first,
  // the leftmost among equals. A negative entry merges with nothing. `lengths`, if given, gets how
  // many of the entries before each symbol covers.
  // Requires: fewer than 2^32 entries; no symbol merges from more than 2^30.
  void Merge(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths = nullptr);

  // How the unused piece `symbol` is taken apart after the last Merge, where that depends on it.
  MergeTable::Split SplitOf(int32_t symbol) const;

  // Pairs looked at since construction: the unit of work, for tests of linearity.
  uint64_t n_steps() const { return n_steps_; }

 private:
  // Below this length a plain search for the best pair beats the queue (measured at 16 to 128).
  static constexpr size_t kShort = 48;
  static constexpr uint32_t kNoNode = UINT32_MAX;

  // Candidate positions of one rank.
  struct Bucket {
    uint32_t head = kNoNode, tail = kNoNode;
    bool sorted = true;  // positions ascend from head to tail
    bool open = false;   // being drained: newcomers go to late_
  };
  struct Node {
    uint32_t position;
    uint32_t next;
  };

  void MergeShort(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths);
  void MergeLong(std::vector<int32_t>& symbols, std::vector<uint32_t>* lengths);
  void Propose(uint32_t position, int32_t left, int32_t right);
  bool TakeBest(uint32_t& rank, uint32_t& position);
  void SortBucket(Bucket& bucket);
  PairTable::Found Candidate(int32_t left, int32_t right);
  uint32_t Length(size_t position) const;
  uint32_t StartBefore(uint32_t position) const;

  const PairTable& pairs_;
  const MergeTable* unused_ = nullptr;  // if how unused pieces come apart must be noted
  uint64_t n_steps_ = 0;
  std::unordered_map<int32_t, MergeTable::Split> last_splits_;
  // Of MergeLong: symbols in place (see there), and the queue.
  std::vector<int32_t> cells_;
  std::vector<Bucket> buckets_;  // [n_ranks], all empty between calls
  std::vector<Node> nodes_;
  uint32_t free_ = kNoNode;
  std::vector<uint32_t> ranks_;  // min-heap of ranks whose bucket is not empty
  std::vector<uint64_t> late_;   // min-heap of rank << 32 | position
  std::vector<uint32_t> positions_;
};

}  // namespace moescope::text
