#include "text/pair_table.h"

#include <bit>

namespace moescope::text {

PairTable::PairTable(const std::vector<Merge>& merges, uint32_t n_ranks) : n_ranks_(n_ranks) {
  const size_t n_slots = std::bit_ceil(2 * merges.size() + 2);
  mask_ = n_slots - 1;
  shift_ = 64 - std::countr_zero(n_slots);
  entries_.assign(n_slots, {kEmpty, {}});
  for (const Merge& merge : merges) {
    const uint64_t key = Key(merge.left, merge.right);
    size_t slot = Slot(key);
    while (entries_[slot].key != kEmpty && entries_[slot].key != key) slot = (slot + 1) & mask_;
    entries_[slot] = {key, {merge.merged, merge.rank}};
  }
}

}  // namespace moescope::text
