// What this machine can do, measured: the limits that every benchmark is held against.
#pragma once

#include <string>
#include <vector>

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

  // Sums of activations of 8 bits times codes of weights, likewise: where products are summed in 16
  // bits, the size of the codes decides how often they must be widened.
  struct BytePeak {
    int code_bits;
    double gops;
  };
  std::vector<BytePeak> int8;  // for codes of up to 4, 5, 6 and 8 bits
  double amx_gflops = 0;       // products of bfloat16 on tiles, likewise; 0: the level has none
  // 0 for a type without codes.
  double Int8Gops(DType dtype) const;
};

// Takes about four seconds; the best of several rounds, since a neighbour can only slow it down.
// Throws Error(kResource) when a buffer larger than any cache cannot be had.
MachineLimits MeasureMachine(const KernelTable& kernels, ThreadPool& pool);

}  // namespace moescope::engine
