#include "base/cancellation.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"

namespace moescope {
namespace {

std::atomic<bool> g_cancelled{false};

void OnSignal(int) {
  if (g_cancelled.exchange(true)) _exit(ExitCode(ErrorKind::kCancelled));
}

}  // namespace

void InstallCancellationSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool CancellationRequested() {
  return g_cancelled.load(std::memory_order_relaxed);
}

void ClearCancellation() {
  g_cancelled.store(false, std::memory_order_relaxed);
}

void ThrowIfCancelled() {
  if (CancellationRequested()) throw Error(ErrorKind::kCancelled, "cancelled");
}

}  // namespace moescope
