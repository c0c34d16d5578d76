// A cache of experts as decisions, without the experts: which are resident, what a row finds there,
// what leaves. The engine moves the bytes accordingly; the simulator only counts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "routing/eviction_order.h"

namespace moescope::routing {

// Demand with forced admission: a row's experts are looked up in the cache as the row finds it,
// those missing are admitted, and while more than `capacity` are resident one is evicted, never one
// of the row's. Only where the row alone exceeds the capacity are its own evicted, last of all, so
// that at most `capacity` are left. Touch does not allocate. Not thread-safe.
class CachePolicy {
 public:
  // Requires: 1 <= capacity.
  CachePolicy(int capacity, std::unique_ptr<EvictionOrder> order);

  // Serves one row and returns how many of its experts were resident.
  // Requires: each expert once, in [0, n_experts).
  int Touch(std::span<const int32_t> experts);

  bool IsResident(int32_t expert) const { return place_[static_cast<size_t>(expert)] >= 0; }
  std::span<const int32_t> resident() const { return resident_; }  // in no order
  // By the last row; an expert of a row larger than the capacity may be in both.
  std::span<const int32_t> admitted() const { return admitted_; }
  std::span<const int32_t> evicted() const { return evicted_; }
  int capacity() const { return capacity_; }

 private:
  void Evict(bool spare_row);

  int capacity_;
  std::unique_ptr<EvictionOrder> order_;
  std::vector<int32_t> place_;  // [n_experts] in resident_; -1: absent
  std::vector<int32_t> resident_, admitted_, evicted_;
  std::vector<uint8_t> in_row_;  // [n_experts]
};

// Caches of all sizes at once, for orders of stack rules: the cache of size k holds the first k
// experts of one list. Its update costs no more than the deepest place looked up.
// Source: Mattson et al., IBM Systems Journal 9 (1970), with rows in place of single references.
class CacheStack {
 public:
  // Requires: the order ranks without regard to the size of the cache (IsStackRule).
  explicit CacheStack(std::unique_ptr<EvictionOrder> order);

  static constexpr int kAbsent = -1;  // never used before
  // Serves one row. depth[i] of experts[i]: it was resident in every cache of more than depth[i]
  // experts. Requires: as CachePolicy::Touch; as many depths as experts.
  void Touch(std::span<const int32_t> experts, std::span<int32_t> depth);

 private:
  static constexpr int32_t kInRow = -2;
  void PutRowFirst(std::span<const int32_t> experts);
  int32_t TakeBest();  // out of pool_

  std::unique_ptr<EvictionOrder> order_;
  std::vector<int32_t> list_;   // those used so far
  std::vector<int32_t> place_;  // [n_experts] in list_, or kAbsent
  std::vector<int32_t> pool_;
};

}  // namespace moescope::routing
