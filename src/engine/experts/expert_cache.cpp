#include "engine/experts/expert_cache.h"

#include "base/error.h"

namespace moescope::engine {
namespace {

// What keeps a disk busy: with parts of 2 MB more threads read no faster.
constexpr int kReaders = 4;

}  // namespace

ExpertLease::~ExpertLease() {
  if (cache_ != nullptr) cache_->Release(slot_);
}

const std::byte* ExpertLease::Wait() const {
  return cache_->WaitFor(slot_);
}

ExpertCache::ExpertCache(const files::Checkpoint& checkpoint, const ExpertLayout& layout,
                         ExpertFiles files, int n_slots)
    : layout_(layout),
      // A block more than the slots: a small allocation is aligned to a cache line only.
      arena_(static_cast<uint64_t>(n_slots) * layout.slot_bytes() + kDirectAlignment,
             "expert weights"),
      first_slot_(arena_.data() + (kDirectAlignment -
                                   reinterpret_cast<uintptr_t>(arena_.data()) % kDirectAlignment) %
                                      kDirectAlignment),
      slots_(static_cast<size_t>(n_slots)),
      slot_of_(static_cast<size_t>(layout.n_cells()), -1),
      kept_(static_cast<size_t>(layout.n_cells())),
      reader_(checkpoint, layout, std::move(files), kReaders,
              [this](int cell, std::exception_ptr error) { OnRead(cell, std::move(error)); }) {
  MOESCOPE_CHECK(n_slots >= 1);
}

ExpertCache::~ExpertCache() = default;

ExpertLease ExpertCache::Acquire(int cell) {
  std::unique_lock lock(mutex_);
  std::optional<ExpertLease> lease;
  changed_.wait(lock, [&] { return (lease = Reserve(cell, true)).has_value(); });
  lock.unlock();
  lease->Wait();
  return std::move(*lease);
}

std::optional<ExpertLease> ExpertCache::ReserveOrStop(int cell, const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex_);
  std::optional<ExpertLease> lease;
  changed_.wait(lock, [&] { return stop || (lease = Reserve(cell, true)).has_value(); });
  return lease;
}

void ExpertCache::Wake() {
  std::lock_guard lock(mutex_);  // else who has just looked at the flag would sleep over it
  changed_.notify_all();
}

std::optional<ExpertLease> ExpertCache::TryReserve(int cell, bool urgent) {
  std::lock_guard lock(mutex_);
  return Reserve(cell, urgent);
}

std::optional<ExpertLease> ExpertCache::Reserve(int cell, bool urgent) {
  int index = slot_of_[static_cast<size_t>(cell)];
  if (index < 0) {
    index = TakeSlot(cell);
    if (index < 0) return std::nullopt;
    reader_.Begin(cell, Address(index), urgent);
  } else if (urgent && slots_[static_cast<size_t>(index)].state == SlotState::kReading) {
    reader_.Hurry(cell);
  }
  ++slots_[static_cast<size_t>(index)].n_leases;
  return ExpertLease(this, index);
}

bool ExpertCache::Prefetch(int cell) {
  std::lock_guard lock(mutex_);
  if (slot_of_[static_cast<size_t>(cell)] >= 0) return false;
  const int index = TakeSlot(cell);
  if (index < 0) return false;
  reader_.Begin(cell, Address(index), false);
  return true;
}

void ExpertCache::Withdraw(int cell) {
  std::lock_guard lock(mutex_);
  const int index = slot_of_[static_cast<size_t>(cell)];
  if (index < 0) return;
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.state != SlotState::kReading || slot.n_leases > 0 || !reader_.Withdraw(cell)) return;
  Empty(slot);
  changed_.notify_all();
}

int ExpertCache::TakeSlot(int cell) {
  int taken = -1;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.state == SlotState::kEmpty) {
      taken = static_cast<int>(i);
      break;
    }
    const bool evictable = slot.state == SlotState::kReady && slot.n_leases == 0 &&
                           !kept_[static_cast<size_t>(slot.cell)];
    if (!evictable) continue;
    if (taken < 0 || slot.released < slots_[static_cast<size_t>(taken)].released) {
      taken = static_cast<int>(i);
    }
  }
  if (taken < 0) return -1;
  Slot& slot = slots_[static_cast<size_t>(taken)];
  Empty(slot);
  slot.state = SlotState::kReading;
  slot.cell = cell;
  slot_of_[static_cast<size_t>(cell)] = taken;
  return taken;
}

void ExpertCache::Empty(Slot& slot) {
  if (slot.state == SlotState::kReady || slot.state == SlotState::kReading) {
    slot_of_[static_cast<size_t>(slot.cell)] = -1;
  }
  slot = Slot();
}

void ExpertCache::OnRead(int cell, std::exception_ptr error) {
  std::lock_guard lock(mutex_);
  const int index = slot_of_[static_cast<size_t>(cell)];
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.released = ++clock_;
  if (!error) {
    slot.state = SlotState::kReady;
  } else {
    // Absent from now on; the slot stays until those that wait for it have seen why.
    slot_of_[static_cast<size_t>(cell)] = -1;
    slot.state = SlotState::kFailed;
    slot.error = std::move(error);
    if (slot.n_leases == 0) Empty(slot);
  }
  changed_.notify_all();
}

const std::byte* ExpertCache::WaitFor(int index) {
  std::unique_lock lock(mutex_);
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.state == SlotState::kReading) {
    reader_.Hurry(slot.cell);
    changed_.wait(lock, [&slot] { return slot.state != SlotState::kReading; });
  }
  if (slot.error) std::rethrow_exception(slot.error);
  return Address(index);
}

void ExpertCache::Release(int index) {
  std::lock_guard lock(mutex_);
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (--slot.n_leases > 0) return;
  slot.released = ++clock_;
  if (slot.state == SlotState::kFailed) Empty(slot);
  changed_.notify_all();
}

void ExpertCache::Keep(int cell, bool keep) {
  std::lock_guard lock(mutex_);
  kept_[static_cast<size_t>(cell)] = keep;
  if (!keep) changed_.notify_all();
}

bool ExpertCache::IsKept(int cell) const {
  std::lock_guard lock(mutex_);
  return kept_[static_cast<size_t>(cell)] != 0;
}

bool ExpertCache::IsPresent(int cell) const {
  std::lock_guard lock(mutex_);
  return slot_of_[static_cast<size_t>(cell)] >= 0;
}

}  // namespace moescope::engine
