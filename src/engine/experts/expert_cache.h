// Residency of expert weights: which experts are in memory, which are being read.
// Format and eviction rule: docs/expert-streaming.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/platform/aligned_buffer.h"
#include "engine/experts/expert_layout.h"
#include "engine/experts/expert_reader.h"

namespace moescope::engine {

class ExpertCache;

// Pins the slot of an expert while it lives; move-only. Different leases may be used by different
// threads, also of the same expert.
class ExpertLease {
 public:
  ExpertLease() = default;
  ExpertLease(ExpertLease&& other) noexcept
      : cache_(std::exchange(other.cache_, nullptr)), slot_(other.slot_) {}
  ExpertLease& operator=(ExpertLease&& other) noexcept {
    std::swap(cache_, other.cache_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~ExpertLease();

  bool held() const { return cache_ != nullptr; }
  // Blocks until the bytes are there, aligned as the layout says. Throws Error as
  // ExpertCache::Acquire; the lease then holds nothing of use.
  const std::byte* Wait() const;

 private:
  friend class ExpertCache;
  ExpertLease(ExpertCache* cache, int slot) : cache_(cache), slot_(slot) {}
  ExpertCache* cache_ = nullptr;
  int slot_ = -1;
};

// A slot is empty, being read, or holds an expert. Evicted is the expert whose last lease ended
// first, among those that nobody leases, nobody keeps and that are not being read.
class ExpertCache {
 public:
  // One allocation of n_slots. checkpoint and layout must outlive the cache.
  // Requires: n_slots >= 1. Throws Error(kResource).
  ExpertCache(const files::Checkpoint& checkpoint, const ExpertLayout& layout, ExpertFiles files,
              int n_slots);
  ~ExpertCache();

  // Returns the weights of one expert, reading them if absent; blocks until ready, and while no
  // slot can be had. The lease pins the expert; it may be evicted once the lease is destroyed.
  // Requires: a cell of the layout; whoever holds leases and acquires more leaves room for it.
  // Throws Error(kIo, kCorrupt) if the read fails; the cache then lacks this expert and the one
  // evicted for it, and is otherwise unchanged. Thread-safe. At most one read per expert is in
  // flight.
  ExpertLease Acquire(int cell);
  // The same without waiting for the bytes, which ExpertLease::Wait does; nothing while no slot can
  // be had. `urgent`: somebody is about to wait. Thread-safe.
  std::optional<ExpertLease> TryReserve(int cell, bool urgent);
  // Acquire's first half: waits for a slot, but not for the bytes. Nothing once `stop` is true; who
  // sets it calls Wake. Thread-safe.
  std::optional<ExpertLease> ReserveOrStop(int cell, const std::atomic<bool>& stop);
  void Wake();
  // Starts reading an expert that may be needed, into a slot that nobody keeps or leases; false if
  // there is none, or if the expert is there already or on its way. Thread-safe.
  bool Prefetch(int cell);
  // Takes back a prefetch that has not begun. Thread-safe.
  void Withdraw(int cell);

  // A kept expert is not evicted once it is there. Requires: fewer are kept than there are slots.
  // Thread-safe.
  void Keep(int cell, bool keep);
  bool IsKept(int cell) const;
  // In memory, or on its way. Thread-safe.
  bool IsPresent(int cell) const;

  const ExpertLayout& layout() const { return layout_; }
  int n_slots() const { return static_cast<int>(slots_.size()); }
  uint64_t bytes() const { return arena_.size(); }
  uint64_t bytes_read() const { return reader_.bytes_read(); }

 private:
  friend class ExpertLease;
  enum class SlotState : uint8_t { kEmpty, kReading, kReady, kFailed };
  struct Slot {
    SlotState state = SlotState::kEmpty;
    int cell = -1;
    int n_leases = 0;
    uint64_t released = 0;  // when the last lease ended
    std::exception_ptr error;
  };
  std::byte* Address(int slot) const {
    return first_slot_ + static_cast<uint64_t>(slot) * layout_.slot_bytes();
  }
  void Release(int slot);
  const std::byte* WaitFor(int slot);
  void OnRead(int cell, std::exception_ptr error);
  // These require the mutex.
  std::optional<ExpertLease> Reserve(int cell, bool urgent);
  int TakeSlot(int cell);  // begins nothing; -1: none can be had
  void Empty(Slot& slot);

  const ExpertLayout& layout_;
  AlignedBytes arena_;
  std::byte* first_slot_;  // in the arena, aligned to a block

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::vector<int> slot_of_;   // [n_cells]; -1: absent
  std::vector<uint8_t> kept_;  // [n_cells]
  uint64_t clock_ = 0;

  ExpertReader reader_;  // last: its threads use what is above
};

}  // namespace moescope::engine
