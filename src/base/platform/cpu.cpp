#include "base/platform/cpu.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#endif

namespace moescope {
namespace {

#if defined(__x86_64__)
// MXCSR bits 15 (flush to zero) and 6 (denormals are zero). Intel SDM vol. 1, 10.2.3.
constexpr unsigned kFlushBits = 0x8040;

// Feature bits of CPUID leaf 7 and the state that the system switches between threads: bits 17 and
// 18 of XCR0 are tile configuration and data. Intel SDM vol. 1, 13.3 and 18.3.
bool HasTilesOfBFloat() {
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kTileState = 3u << 17;
  constexpr unsigned kAvx512Bf16 = 1u << 5, kXsaveEnabled = 1u << 27;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kXsaveEnabled) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kAvx512Bf16) == 0) return false;
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState;
}

CpuFeatures Detect() {
  __builtin_cpu_init();
  CpuFeatures features;
  features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512 = features.avx2_fma && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  features.amx_bf16 = features.avx512 && HasTilesOfBFloat();
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

bool RequestTilePermission() {
#if defined(__x86_64__)
  // Linux, Documentation/arch/x86/xstate.rst: state component 18, tile data, is granted on request.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
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
