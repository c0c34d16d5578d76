#include "base/platform/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace moescope {
namespace {

// A "Name:   123 kB" line of /proc/meminfo, in bytes; 0 if absent.
uint64_t MeminfoBytes(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

// A one-number cgroup v2 file, or `otherwise` when it is absent or "max".
uint64_t CgroupBytes(const char* path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : otherwise;
}

// What is left of a limit on the address space (ulimit -v); without one, everything.
uint64_t AddressSpaceBytesLeft() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::numeric_limits<uint64_t>::max();
  }
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const uint64_t used = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

uint64_t TotalMemoryBytes() {
  return std::min(MeminfoBytes("MemTotal"),
                  CgroupBytes("/sys/fs/cgroup/memory.max", std::numeric_limits<uint64_t>::max()));
}

uint64_t AvailableMemoryBytes() {
  uint64_t limit = CgroupBytes("/sys/fs/cgroup/memory.max", std::numeric_limits<uint64_t>::max());
  uint64_t used = CgroupBytes("/sys/fs/cgroup/memory.current", 0);
  uint64_t remainder = limit > used ? limit - used : 0;
  return std::min({MeminfoBytes("MemAvailable"), remainder, AddressSpaceBytesLeft()});
}

uint64_t PeakResidentBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

void PrefetchMapped(ByteSpan bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data()) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size();
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

}  // namespace moescope
