// Which expert a full cache gives up first. An order knows what was used, not what is resident, so
// that the simulator and the engine rank with the same objects. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace moescope::routing {

enum class EvictionRule { kLru, kLfu, kFifo, kRandom, kBelady, kPinnedLru };

// In the order above: "lru", "lfu", "fifo", "random", "belady", "pinned".
std::span<const EvictionRule> AllEvictionRules();
const char* NameOf(EvictionRule rule);
std::optional<EvictionRule> EvictionRuleNamed(const std::string& name);
// True for rules that rank without regard to the size of the cache: a larger cache then holds all
// that a smaller one does. Not FIFO, whose order is that of admission. Pinned + LRU as long as the
// same experts are pinned.
bool IsStackRule(EvictionRule rule);

// A key for each expert; the resident one with the smallest key is evicted first, ties by the lower
// expert. Experts are numbers in [0, n_experts): of one layer, or of all layers where they share a
// budget. No call allocates. Not thread-safe.
class EvictionOrder {
 public:
  // Requires: n_experts > 0.
  explicit EvictionOrder(int n_experts) : keys_(static_cast<size_t>(n_experts)) {}
  virtual ~EvictionOrder() = default;

  // The experts of the next row, each once, first choice first; before any eviction for that row.
  virtual void OnRow(std::span<const int32_t> experts) = 0;
  // An expert of that row that was not resident becomes so.
  virtual void OnAdmit(int32_t /*expert*/) {}

  int n_experts() const { return static_cast<int>(keys_.size()); }
  int64_t key(int32_t expert) const { return keys_[static_cast<size_t>(expert)]; }
  // Whether `a` is evicted before `b`.
  bool Before(int32_t a, int32_t b) const { return key(a) != key(b) ? key(a) < key(b) : a < b; }

 protected:
  std::vector<int64_t> keys_;  // [n_experts]
};

// Least recently used; within a row the first choice counts as used first.
class LruOrder : public EvictionOrder {
 public:
  using EvictionOrder::EvictionOrder;
  void OnRow(std::span<const int32_t> experts) override;

 private:
  int64_t clock_ = 0;
};

// Least frequently used of all rows so far, in the cache or not; of equals the higher expert.
class LfuOrder : public EvictionOrder {
 public:
  explicit LfuOrder(int n_experts);
  void OnRow(std::span<const int32_t> experts) override;
};

// First in, first out.
class FifoOrder : public EvictionOrder {
 public:
  using EvictionOrder::EvictionOrder;
  void OnRow(std::span<const int32_t> /*experts*/) override {}
  void OnAdmit(int32_t expert) override { keys_[static_cast<size_t>(expert)] = ++clock_; }

 private:
  int64_t clock_ = 0;
};

// All candidates alike: fresh keys for every row, a function of seed, row and expert. Caches of all
// sizes with one seed draw the same keys.
class RandomOrder : public EvictionOrder {
 public:
  RandomOrder(int n_experts, uint64_t seed) : EvictionOrder(n_experts), seed_(seed) {}
  void OnRow(std::span<const int32_t> experts) override;

 private:
  uint64_t seed_;
  uint64_t row_ = 0;
};

// Next used farthest in the future first: no demand policy has more hits. Needs the future.
// Source: L. A. Belady, IBM Systems Journal 5 (1966).
class BeladyOrder : public EvictionOrder {
 public:
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
  // next_use  for each lookup of all rows, in order, the index of the next lookup of that expert,
  //           or kNever; must outlive this.
  BeladyOrder(int n_experts, std::span<const int32_t> next_use)
      : EvictionOrder(n_experts), next_use_(next_use) {}
  // Requires: the rows that next_use was made from, in their order.
  void OnRow(std::span<const int32_t> experts) override;

 private:
  std::span<const int32_t> next_use_;
  size_t n_lookups_ = 0;
};

// Least recently used, but `pinned` experts stay once they are resident.
// Keeps its promise in caches that hold the pinned experts and those of a row together.
class PinnedLruOrder : public EvictionOrder {
 public:
  PinnedLruOrder(int n_experts, std::span<const int32_t> pinned);
  void OnRow(std::span<const int32_t> experts) override;

 private:
  static constexpr int64_t kPinned = std::numeric_limits<int64_t>::max();
  int64_t clock_ = 0;
};

}  // namespace moescope::routing
