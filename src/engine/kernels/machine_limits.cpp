#include "engine/kernels/machine_limits.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <vector>

#include "base/error.h"
#include "base/platform/aligned_buffer.h"
#include "base/platform/cpu.h"
#include "base/platform/memory.h"
#include "base/tensor/block_codes.h"

namespace moescope::engine {
namespace {

// Twice a large last-level cache, so that most of it must come from memory.
constexpr uint64_t kBufferBytes = uint64_t{1} << 30;
constexpr int kRounds = 4;
constexpr int64_t kChunkBytes = 1 << 20;

double Seconds(FunctionRef<void()> work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Adds eight streams so that the sum does not wait for itself.
uint64_t SumWords(const uint64_t* words, int64_t n) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i < n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

double MeasureDram(ThreadPool& pool, uint64_t n_bytes) {
  AlignedBuffer<uint64_t> buffer(n_bytes / sizeof(uint64_t), "measuring DRAM");
  const auto n_chunks = static_cast<int64_t>(n_bytes) / kChunkBytes;
  constexpr int64_t kWords = kChunkBytes / 8;
  pool.Run(n_chunks, [&](int64_t chunk, int) {
    std::fill_n(buffer.data() + chunk * kWords, kWords, uint64_t{1});
  });
  std::vector<uint64_t> sums(static_cast<size_t>(n_chunks));
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    double seconds = Seconds([&] {
      pool.Run(n_chunks, [&](int64_t chunk, int) {
        sums[static_cast<size_t>(chunk)] = SumWords(buffer.data() + chunk * kWords, kWords);
      });
    });
    for (uint64_t sum : sums) MOESCOPE_CHECK(sum == static_cast<uint64_t>(kWords));
    best = std::max(best, static_cast<double>(n_bytes) / seconds / 1e9);
  }
  return best;
}

// `run` does so many rounds on one thread and returns the operations done.
double MeasurePeak(ThreadPool& pool, FunctionRef<double(int64_t rounds)> run) {
  std::vector<double> flops(static_cast<size_t>(pool.n_threads()));
  int64_t rounds = 1000;
  double best = 0;
  for (int round = 0; round < 2 * kRounds;) {
    double seconds = Seconds([&] {
      pool.Run(pool.n_threads(),
               [&](int64_t task, int) { flops[static_cast<size_t>(task)] = run(rounds); });
    });
    if (seconds < 0.05) {  // too short to time: double the work
      rounds *= 2;
      continue;
    }
    double total = 0;
    for (double n : flops) total += n;
    best = std::max(best, total / seconds / 1e9);
    ++round;
  }
  return best;
}

std::vector<MachineLimits::BytePeak> MeasureBytes(const KernelTable& kernels, ThreadPool& pool) {
  constexpr DType kTypes[] = {DType::kQ4_0, DType::kQ5_0, DType::kQ6_K, DType::kQ8_0};
  std::vector<MachineLimits::BytePeak> peaks;
  for (DType dtype : kTypes) {
    const auto codes = static_cast<unsigned>(CodesOf(dtype).largest);
    peaks.push_back({static_cast<int>(std::bit_width(codes)),
                     MeasurePeak(pool, [&kernels, dtype](int64_t rounds) {
                       return kernels.rounded.peak(dtype, rounds);
                     })});
  }
  return peaks;
}

}  // namespace

double MachineLimits::Int8Gops(DType dtype) const {
  const CodeInfo codes = CodesOf(dtype);
  if (codes.part == 0) return 0;
  for (const BytePeak& peak : int8) {
    if (codes.largest < 1 << peak.code_bits) return peak.gops;
  }
  return 0;
}

MachineLimits MeasureMachine(const KernelTable& kernels, ThreadPool& pool) {
  const uint64_t n_bytes =
      std::min(kBufferBytes, AvailableMemoryBytes() / 2) / kChunkBytes * kChunkBytes;
  if (n_bytes == 0) throw Error(ErrorKind::kResource, "no memory to measure DRAM with");
  MachineLimits limits;
  limits.cpu = CpuModelName();
  limits.n_threads = pool.n_threads();
  limits.level = kernels.level;
  limits.dram_buffer_gb = static_cast<double>(n_bytes) / 1e9;
  limits.dram_gb_per_s = MeasureDram(pool, n_bytes);
  limits.fp32_gflops = MeasurePeak(pool, kernels.fma_peak);
  limits.int8 = MeasureBytes(kernels, pool);
  if (kernels.tiles != nullptr) limits.amx_gflops = MeasurePeak(pool, kernels.tiles->peak);
  return limits;
}

}  // namespace moescope::engine
