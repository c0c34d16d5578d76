// What this machine can do, measured: the limits that every benchmark is held against.
#pragma once

#include <string>

#include "base/parallel/thread_pool.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

struct MachineLimits {
  std::string cpu;
  int n_threads = 0;
  KernelLevel level = KernelLevel::kScalar;
  double dram_gb_per_s = 0;   // 10^9 bytes read per second, all threads
  double dram_buffer_gb = 0;  // over a buffer of so many 10^9 bytes
  double fp32_gflops = 0;     // fused multiply-adds of `level` counted as two, all threads
};

// Takes about two seconds; the best of several rounds, since a neighbour can only slow it down.
// Throws Error(kResource) when a buffer larger than any cache cannot be had.
MachineLimits MeasureMachine(const KernelTable& kernels, ThreadPool& pool);

}  // namespace moescope::engine
