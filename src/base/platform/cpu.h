// What the processor can do, and the few per-thread switches the numeric contract needs.
#pragma once

#include <string>

namespace moescope {

struct CpuFeatures {
  bool avx2_fma = false;  // AVX2, FMA and F16C, enabled by the operating system
  bool avx512 = false;    // AVX-512 F, BW, DQ, VL
  bool avx512_vnni = false;
  // AMX-TILE, AMX-BF16 and AVX512-BF16, enabled by the operating system. Before use:
  // RequestTilePermission().
  bool amx_bf16 = false;
};

// Read once, at the first call. Thread-safe.
const CpuFeatures& DetectCpu();
// Asks the operating system, once, that the threads of this process may use AMX's tiles; false when
// it refuses. Thread-safe. Requires: amx_bf16.
bool RequestTilePermission();
std::string CpuModelName();
// Cores this process may run on (affinity and cgroup quota respected), at least 1.
int AvailableCores();

// Sets flush-to-zero and denormals-are-zero in this thread; restores the old state at the end.
class ScopedFlushToZero {
 public:
  ScopedFlushToZero();
  ~ScopedFlushToZero();
  ScopedFlushToZero(const ScopedFlushToZero&) = delete;
  ScopedFlushToZero& operator=(const ScopedFlushToZero&) = delete;

 private:
  unsigned saved_;
};

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace moescope
