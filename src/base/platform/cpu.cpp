#include "base/platform/cpu.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace moescope {
namespace {

#if defined(__x86_64__)
// MXCSR bits 15 (flush to zero) and 6 (denormals are zero). Intel SDM vol. 1, 10.2.3.
constexpr unsigned kFlushBits = 0x8040;

CpuFeatures Detect() {
  __builtin_cpu_init();
  CpuFeatures features;
  features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512 = features.avx2_fma && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  return features;
}
#else
CpuFeatures Detect() {
  return {};
}
#endif

// Cores granted by a cgroup v2 quota ("max 100000" or "200000 100000"), or a large number.
int QuotaCores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::atof(quota.c_str()) / period + 0.5));
}

}  // namespace

const CpuFeatures& DetectCpu() {
  static const CpuFeatures features = Detect();
  return features;
}

std::string CpuModelName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

int AvailableCores() {
  cpu_set_t cores;
  int count = 1;
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) count = CPU_COUNT(&cores);
  return std::max(1, std::min(count, QuotaCores()));
}

#if defined(__x86_64__)
ScopedFlushToZero::ScopedFlushToZero() : saved_(_mm_getcsr()) {
  _mm_setcsr(saved_ | kFlushBits);
}
ScopedFlushToZero::~ScopedFlushToZero() {
  _mm_setcsr(saved_);
}
#else
ScopedFlushToZero::ScopedFlushToZero() : saved_(0) {}
ScopedFlushToZero::~ScopedFlushToZero() = default;
#endif

}  // namespace moescope
