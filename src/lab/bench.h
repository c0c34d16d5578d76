// `bench`: how fast the paths people wait for are, as a share of what this machine can do, measured
// in the same minute. Each benchmark checks its answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor/dtype.h"
#include "engine/kernels/machine_limits.h"
#include "engine/model/profile.h"
#include "engine/ops/precision.h"

namespace moescope::lab {

struct BenchOptions {
  std::string model;
  std::vector<std::string> what;  // "sweep", "prefill", "decode", "trace_overhead"
  int64_t n_tokens = 0;           // 0: 512 of a prefill, 64 decoded, else 16,384
  engine::Precision precision = engine::Precision::kExact;
  DType kv = DType::kF32;  // of keys and values, in prefill and decode
  int chunk = 512;
  std::vector<int> streams = {1};  // sequences decoded side by side, a row each
  int prompt_tokens = 16;          // before the decoded ones
  int experts_per_token = 0;       // of prefill and decode; 0: the model's
  int n_runs = 5;
  int n_threads = 0;
  uint64_t memory_bytes = 0;
  bool read_weights = false;           // read into memory rather than mapped
  engine::Profile* profile = nullptr;  // of n_threads threads; the rows' runs, first ones left out
};

// Smallest, middle and largest of several measurements.
struct Spread {
  double min = 0, median = 0, max = 0;
};

struct BenchRow {
  std::string what;
  std::string type;  // storage type of the expert weights
  std::string level;
  std::string precision;
  std::string kv;  // type of keys and values: prefill and decode
  int n_streams = 1;
  int64_t n_tokens = 0;  // of a stream
  Spread tokens_per_s;   // of all streams
  double gflops = 0;     // 10^9 floating-point operations actually run per second, at the median
  // 10^9 bytes of weights, keys and values read per second, at the median: decode.
  double gb_per_s = 0;
  // "fp32", "int8", "amx", "dram", "disk"; of many streams the one of arithmetic and reading that
  // they are nearer to.
  std::string limit;
  double share_of_limit = 0;  // of the median; 0 where the row has no limit
  // Where the weights do not fit the memory: what was read in the timed runs, at the median rate.
  bool streamed = false;
  uint64_t disk_bytes_per_run = 0;
  double disk_gb_per_s = 0;
  double hit_ratio = 0;  // of the experts used
  // trace_overhead: what the traced sweep takes as a multiple of the bare one, pair by pair.
  // Processor time (all threads) is what a full machine turns into wall time, and what a neighbour
  // disturbs least.
  Spread cpu_ratio, wall_ratio;
  std::string checked;  // what was checked of the answer
};

struct BenchResult {
  engine::MachineLimits machine;
  double disk_gb_per_s = 0;        // 10^9 bytes a second of direct reads; 0: could not be measured
  uint64_t peak_memory_bytes = 0;  // of this process
  std::vector<BenchRow> rows;
};

// The machine alone; its disk by a file of its own.
BenchResult BenchMachine(int n_threads);
// The machine before and after the rows asked for (the larger is reported). Throws Error(kBadInput)
// for an unknown name, and as Trace; Error(kInternal) when an answer does not check.
BenchResult Bench(const BenchOptions& options);

}  // namespace moescope::lab
