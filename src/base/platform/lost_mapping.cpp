#include "base/platform/lost_mapping.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

#include "base/error.h"

namespace moescope {
namespace {

// Written under the mutex, read by the handler without one: `begin` is published last and taken
// back first. The message is composed beforehand, since a handler may not allocate.
struct Slot {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<size_t> n_bytes{0};
  std::atomic<const char*> message{nullptr};
  std::atomic<size_t> message_bytes{0};
};
constexpr int kMaxSlots = 4096;
Slot g_slots[kMaxSlots];
std::mutex g_mutex;
struct sigaction g_previous;
std::atomic_flag g_ending;
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

const Slot* SlotOf(uintptr_t address) {
  for (const Slot& slot : g_slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address - begin < slot.n_bytes.load()) return &slot;
  }
  return nullptr;
}

void OnBusError(int, siginfo_t* info, void*) {
  // Sent by kill() it has no address; a fault has.
  const bool is_fault = info->si_code > 0;
  const Slot* slot = is_fault ? SlotOf(reinterpret_cast<uintptr_t>(info->si_addr)) : nullptr;
  if (slot == nullptr) {
    // Whoever was asked before is asked: a fault comes again, a sent signal is sent again.
    sigaction(SIGBUS, &g_previous, nullptr);
    if (!is_fault) raise(SIGBUS);
    return;
  }
  // Other threads that fault meanwhile wait for the end rather than say it again.
  while (g_ending.test_and_set()) pause();
  [[maybe_unused]] ssize_t ignored =
      write(STDERR_FILENO, slot->message.load(), slot->message_bytes.load());
  _exit(ExitCode(ErrorKind::kIo));
}

void InstallOnce() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGBUS, &action, &g_previous) == 0;
  }();
  static_cast<void>(installed);
}

// What could move a terminal's cursor becomes '?', as in every other error line.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

LostMappingGuard::LostMappingGuard(ByteSpan bytes, const std::string& path)
    : message_(fmt::format("error: cannot read: {}: the file was cut or replaced while it was "
                           "mapped, or its disk failed; what was committed before stays valid, "
                           "restore the file and run the same command again\n",
                           Printable(path))) {
  std::lock_guard lock(g_mutex);
  InstallOnce();
  for (int i = 0; i < kMaxSlots && slot_ < 0; ++i) {
    Slot& slot = g_slots[i];
    if (slot.begin.load() != 0) continue;
    slot_ = i;
    slot.message.store(message_.data());
    slot.message_bytes.store(message_.size());
    slot.n_bytes.store(bytes.size());
    slot.begin.store(reinterpret_cast<uintptr_t>(bytes.data()), std::memory_order_release);
  }
}

LostMappingGuard::~LostMappingGuard() {
  if (slot_ >= 0) g_slots[slot_].begin.store(0);
}

}  // namespace moescope
