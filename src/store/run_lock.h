// The lock of a run directory: one writing process at a time, named in the file `lock`.
#pragma once

#include <string>

namespace moescope::store {

// Held from construction to destruction. The kernel's file lock decides between processes of one
// host; the content (process, host, start time of the process) tells people who it is, and decides
// where file locks do not work. A dead process's lock is taken over.
class RunLock {
 public:
  // Throws Error(kBadInput) naming the living process that holds it; kIo.
  explicit RunLock(const std::string& directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  std::string path_;
  int fd_ = -1;
};

inline constexpr const char* kLockName = "lock";

// The name of this machine, as locks and run logs have it.
std::string HostName();
// When a process of this machine started, in the kernel's clock ticks since boot; "" if there is no
// such process. Distinguishes a process from a later one with its number.
std::string ProcessStart(int64_t pid);

}  // namespace moescope::store
