// Speed of the kernels at every level of this machine, on one thread with operands in cache: the
// answers are checked against double, then each speed is printed beside the share of the level's
// own fused-multiply-add peak. Time is processor time of the thread, so a busy neighbour costs
// less.
//   kernels_bench [seconds per row, default 0.3 [rounded: only products of rounded activations
//                  [a type, such as Q4_K: only its]; tiles: only those on tiles]]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/function_ref.h"
#include "base/platform/cpu.h"
#include "base/tensor/block_codes.h"
#include "base/tensor/convert_rows.h"
#include "base/tensor/random_row.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {
namespace {

double ProcessorSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The shortest of the runs that fit in `budget` seconds, at least three.
double BestSeconds(double budget, FunctionRef<void()> work) {
  double best = 1e30;
  const double begin = ProcessorSeconds();
  for (int run = 0; run < 3 || ProcessorSeconds() - begin < budget; ++run) {
    const double start = ProcessorSeconds();
    work();
    best = std::min(best, ProcessorSeconds() - start);
  }
  return best;
}

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

struct Speed {
  double seconds;  // of the fastest run
  double share;    // of the peak: median over runs
  double peak_gflops;
};

// Runs the work and, right after each run, the peak loop for about as long. The clock of a
// shared machine changes from moment to moment, so only neighbours in time are compared.
Speed AgainstPeak(FunctionRef<double(int64_t)> run_peak, double flops, double budget,
                  FunctionRef<void()> work) {
  constexpr int64_t kFewRounds = 1 << 12;
  const double seconds = BestSeconds(0, work);
  const double round_seconds =
      BestSeconds(0.01, [&] { run_peak(kFewRounds); }) / static_cast<double>(kFewRounds);
  const auto rounds = std::max<int64_t>(kFewRounds, static_cast<int64_t>(seconds / round_seconds));
  std::vector<double> shares;
  Speed speed = {1e30, 0, 0};
  const double begin = ProcessorSeconds();
  while (shares.size() < 9 || ProcessorSeconds() - begin < 2 * budget) {
    const double start = ProcessorSeconds();
    work();
    const double middle = ProcessorSeconds();
    const double peak_flops = run_peak(rounds);
    const double peak = peak_flops / (ProcessorSeconds() - middle);
    speed.seconds = std::min(speed.seconds, middle - start);
    speed.peak_gflops = std::max(speed.peak_gflops, peak / 1e9);
    shares.push_back(flops / (middle - start) / peak);
  }
  std::nth_element(shares.begin(), shares.begin() + shares.size() / 2, shares.end());
  speed.share = shares[shares.size() / 2];
  return speed;
}

struct Product {
  const char* what;
  int n_rows, n_cols, k;
};

// 200 elements spread over the product against double; a chain of n roundings errs by at most
// n 2^-24 of the sum of magnitudes (docs/numerics.md).
void CheckProduct(const Product& shape, const std::vector<float>& x, const std::vector<float>& w,
                  size_t w_row, size_t w_column, const std::vector<float>& out) {
  for (size_t i = 0; i < 200; ++i) {
    const size_t row = i * 7919 % static_cast<size_t>(shape.n_rows);
    const size_t column = i * 104729 % static_cast<size_t>(shape.n_cols);
    double sum = 0, magnitude = 0;
    for (size_t k = 0; k < static_cast<size_t>(shape.k); ++k) {
      const double term = double{x[row * static_cast<size_t>(shape.k) + k]} *
                          double{w[column * w_column + k * w_row]};
      sum += term;
      magnitude += std::fabs(term);
    }
    const double found = out[row * static_cast<size_t>(shape.n_cols) + column];
    MOESCOPE_CHECK(std::fabs(found - sum) <= magnitude * 0x1p-24 * (2 * kSumBlock + 8));
  }
}

void RunProduct(const KernelTable& kernels, const char* kernel, const Product& shape, double budget,
                FunctionRef<void()> work) {
  const double flops = 2.0 * shape.n_rows * shape.n_cols * shape.k;
  const Speed speed = AgainstPeak(kernels.fma_peak, flops, budget, work);
  fmt::print("{:7} {:17} {:5} x {:5} x {:5}  {:8.1f} GFLOP/s  {:5.1f} % of {:.1f}  {}\n",
             Name(kernels.level), kernel, shape.n_rows, shape.n_cols, shape.k,
             flops / speed.seconds / 1e9, 100 * speed.share, speed.peak_gflops, shape.what);
}

// Weights meet all rows 64 or more columns at a time, as ops hands them over.
void BenchMultiply(const KernelTable& kernels, const Product& shape, double budget) {
  const auto k = static_cast<size_t>(shape.k), n_cols = static_cast<size_t>(shape.n_cols);
  const auto x = Random(static_cast<size_t>(shape.n_rows) * k, 1), w = Random(n_cols * k, 2);
  std::vector<float> out(static_cast<size_t>(shape.n_rows) * n_cols);
  const int tile = std::clamp(64 * 1024 / shape.k, 64, 256);
  RunProduct(kernels, "multiply", shape, budget, [&] {
    for (int column = 0; column < shape.n_cols; column += tile) {
      kernels.multiply(x.data(), k, w.data() + static_cast<size_t>(column) * k, k,
                       out.data() + column, n_cols, shape.n_rows,
                       std::min(tile, shape.n_cols - column), shape.k);
    }
  });
  CheckProduct(shape, x, w, 1, k, out);
}

void BenchColumns(const KernelTable& kernels, const Product& shape, double budget) {
  const auto k = static_cast<size_t>(shape.k), n_cols = static_cast<size_t>(shape.n_cols);
  const auto x = Random(static_cast<size_t>(shape.n_rows) * k, 1), w = Random(n_cols * k, 2);
  std::vector<float> out(static_cast<size_t>(shape.n_rows) * n_cols);
  RunProduct(kernels, "multiply_columns", shape, budget, [&] {
    kernels.multiply_columns(x.data(), k, w.data(), n_cols, out.data(), n_cols, shape.n_rows,
                             shape.n_cols, shape.k);
  });
  CheckProduct(shape, x, w, n_cols, 1, out);
}

void PrintElements(const KernelTable& kernels, std::string_view kernel, size_t n, double seconds) {
  fmt::print("{:7} {:17} {:21}  {:8.2f} G elements/s\n", Name(kernels.level), kernel, n,
             static_cast<double>(n) / seconds / 1e9);
}

void BenchRows(const KernelTable& kernels, double budget) {
  constexpr int kN = 4096;
  const auto input = Random(kN, 3), weight = Random(kN, 4);
  std::vector<float> out(kN);
  PrintElements(kernels, "rms_norm", kN, BestSeconds(budget, [&] {
                  kernels.rms_norm(input.data(), weight.data(), 1e-5f, out.data(), kN);
                }));
  out = input;
  PrintElements(kernels, "softmax", kN, BestSeconds(budget, [&] {
                  std::copy(input.begin(), input.end(), out.begin());
                  kernels.softmax(out.data(), kN);
                }));
  double total = 0;
  for (float value : out) total += double{value};
  MOESCOPE_CHECK(std::fabs(total - 1) < 1e-5);
  PrintElements(kernels, "silu_multiply", kN, BestSeconds(budget, [&] {
                  std::copy(input.begin(), input.end(), out.begin());
                  kernels.silu_multiply(out.data(), weight.data(), kN);
                }));
  float loss = 0;
  PrintElements(kernels, "cross_entropy", kN,
                BestSeconds(budget, [&] { loss = kernels.cross_entropy(input.data(), kN, 7); }));
  double sum = 0;
  for (float value : input) sum += std::exp(double{value});
  MOESCOPE_CHECK(std::fabs(double{loss} - (std::log(sum) - double{input[7]})) < 1e-5);
}

// Random blocks of every type. Bytes are those stored: what decoding from memory must keep up with.
void BenchDequantise(const KernelTable& kernels, double budget) {
  constexpr size_t kN = 64 * 1024;
  std::vector<float> out(kN), expected(kN);
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kF32) continue;
    const std::vector<std::byte> stored = RandomRow(dtype, kN, 5);
    DequantiseRow(dtype, stored.data(), expected);
    const double seconds =
        BestSeconds(budget, [&] { kernels.dequantise(dtype, stored.data(), out.data(), kN); });
    MOESCOPE_CHECK(out == expected);
    fmt::print("{:7} dequantise {:6} {:21}  {:8.2f} G elements/s  {:6.2f} GB/s stored\n",
               Name(kernels.level), Name(dtype), kN, kN / seconds / 1e9,
               static_cast<double>(stored.size()) / seconds / 1e9);
  }
}

// Rounded activations times weights of a type, as a share of the level's peak for the type; the
// answer against the scalar level, to the bit. Few rows: how fast stored weights are read, here
// from a cache.
void BenchRounded(const KernelTable& kernels, DType dtype, const Product& shape, double budget) {
  const auto k = static_cast<size_t>(shape.k), n_cols = static_cast<size_t>(shape.n_cols);
  const auto n_rows = static_cast<size_t>(shape.n_rows);
  const auto x = Random(n_rows * k, 6);
  const std::vector<std::byte> w = RandomRow(dtype, n_cols * k, 7);
  const size_t w_stride = w.size() / n_cols, n_blocks = k / kRoundedValues;
  std::vector<RoundedBlock> rounded(n_rows * n_blocks);
  kernels.rounded.round(x.data(), k, rounded.data(), shape.n_rows, shape.k);
  std::vector<float> out(n_rows * n_cols);
  const double operations = 2.0 * static_cast<double>(n_rows * n_cols * k);
  const Speed speed = AgainstPeak(
      [&](int64_t rounds) { return kernels.rounded.peak(dtype, rounds); }, operations, budget,
      [&] {
        kernels.rounded.multiply(dtype, rounded.data(), w.data(), w_stride, out.data(), n_cols,
                                 shape.n_rows, shape.n_cols, shape.k);
      });
  for (size_t i = 0; i < 50; ++i) {
    const size_t row = i * 7919 % n_rows, column = i * 104729 % n_cols;
    float expected;
    KernelsFor(KernelLevel::kScalar)
        ->rounded.multiply(dtype, &rounded[row * n_blocks], &w[column * w_stride], w_stride,
                           &expected, 1, 1, 1, shape.k);
    MOESCOPE_CHECK(std::bit_cast<uint32_t>(expected) ==
                   std::bit_cast<uint32_t>(out[row * n_cols + column]));
  }
  fmt::print(
      "{:7} rounded {:9} {:5} x {:5} x {:5}  {:8.1f} GOP/s  {:5.1f} % of {:.1f}  {:6.2f} GB/s "
      "stored\n",
      Name(kernels.level), Name(dtype), shape.n_rows, shape.n_cols, shape.k,
      operations / speed.seconds / 1e9, 100 * speed.share, speed.peak_gflops,
      static_cast<double>(w.size()) / speed.seconds / 1e9);
}

// Of one type, or of all where `only` is empty.
void BenchRounded(const KernelTable& kernels, double budget, std::string_view only = "") {
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (CodesOf(dtype).part == 0 || (!only.empty() && only != Name(dtype))) continue;
    constexpr Product kShapes[] = {
        {"", 1, 256, 4096}, {"", 16, 256, 4096}, {"", 256, 256, 4096}, {"", 256, 1024, 14336}};
    for (const Product& shape : kShapes) {
      if (shape.k > 4096 && kernels.level == KernelLevel::kScalar) continue;  // takes minutes
      BenchRounded(kernels, dtype, shape, budget);
    }
  }
}

// On tiles, as a share of their peak, rows packed beforehand; the answer against double within the
// bound of docs/numerics.md. Few rows: how fast weights are unpacked.
void BenchTiles(const KernelTable& kernels, DType dtype, const Product& shape, double budget) {
  const auto k = static_cast<size_t>(shape.k), n_cols = static_cast<size_t>(shape.n_cols);
  const auto n_rows = static_cast<size_t>(shape.n_rows);
  auto x = Random(n_rows * k, 8);
  for (float& value : x) value *= 0x1p-20f;  // MXFP4 reaches 2^130
  std::vector<std::byte> w = RandomRow(dtype, n_cols * k, 9);
  if (dtype == DType::kF32) {  // some random bits would round to infinity
    const auto values = Random(n_cols * k, 9);
    std::memcpy(w.data(), values.data(), w.size());
  }
  const size_t w_stride = w.size() / n_cols;
  std::vector<TileOfRows> rows(static_cast<size_t>(TilesOf(shape.n_rows, shape.k)));
  kernels.tiles->pack(x.data(), k, rows.data(), shape.n_rows, shape.k);
  std::vector<float> out(n_rows * n_cols), weights(k);
  const double flops = 2.0 * static_cast<double>(n_rows * n_cols * k);
  const Speed speed = AgainstPeak(kernels.tiles->peak, flops, budget, [&] {
    kernels.tiles->multiply(dtype, rows.data(), w.data(), w_stride, out.data(), n_cols,
                            shape.n_rows, shape.n_cols, shape.k);
  });
  for (size_t i = 0; i < 50; ++i) {
    const size_t row = i * 7919 % n_rows, column = i * 104729 % n_cols;
    DequantiseRow(dtype, &w[column * w_stride], weights);
    double sum = 0, magnitude = 0;
    for (size_t j = 0; j < k; ++j) {
      const double term = double{x[row * k + j]} * double{weights[j]};
      sum += term;
      magnitude += std::fabs(term);
    }
    const double bound = 0x1p-8 + 0x1p-18 + 0x1p-23 * (17 + shape.k / kTileValues);
    MOESCOPE_CHECK(std::fabs(double{out[row * n_cols + column]} - sum) <=
                   magnitude * bound + static_cast<double>(k) * 0x1p-120);
  }
  fmt::print("{:7} tiles {:11} {:5} x {:5} x {:5}  {:8.1f} GFLOP/s  {:5.1f} % of {:.1f}\n",
             Name(kernels.level), Name(dtype), shape.n_rows, shape.n_cols, shape.k,
             flops / speed.seconds / 1e9, 100 * speed.share, speed.peak_gflops);
}

void BenchTiles(const KernelTable& kernels, double budget) {
  if (kernels.tiles == nullptr) return;
  for (int i = 0; i < kNDTypes; ++i) {
    constexpr Product kShapes[] = {
        {"", 16, 256, 4096}, {"", 64, 256, 4096}, {"", 256, 256, 4096}, {"", 256, 1024, 14336}};
    for (const Product& shape : kShapes) {
      BenchTiles(kernels, static_cast<DType>(i), shape, budget);
    }
  }
}

void Bench(const KernelTable& kernels, double budget) {
  constexpr Product kProducts[] = {
      {"the demo model's matrices", 1000, 256, 256},
      {"its vocabulary", 1000, 4096, 256},
      {"one block of k", 1000, 4096, 1024},
      {"a wide model", 256, 512, 4096},
      {"few rows an expert", 40, 256, 256},
      {"one row", 1, 4096, 256},
      {"a router", 1000, 8, 256},
  };
  for (const Product& shape : kProducts) BenchMultiply(kernels, shape, budget);
  constexpr Product kAttention[] = {
      {"scores, head_dim 32", 32, 256, 32},
      {"values, head_dim 32", 32, 32, 256},
      {"scores, head_dim 128", 32, 1024, 128},
      {"values, head_dim 128", 32, 128, 1024},
  };
  for (const Product& shape : kAttention) BenchColumns(kernels, shape, budget);
  BenchRows(kernels, budget);
  BenchDequantise(kernels, budget);
  BenchRounded(kernels, budget);
}

}  // namespace
}  // namespace moescope::engine

int main(int argc, char** argv) {
  using namespace moescope;
  const double budget = argc > 1 ? std::atof(argv[1]) : 0.3;
  const std::string_view only = argc > 2 ? argv[2] : "";
  ScopedFlushToZero flush;
  for (auto level : {engine::KernelLevel::kScalar, engine::KernelLevel::kAvx2,
                     engine::KernelLevel::kAvx512, engine::KernelLevel::kAmx}) {
    const auto* kernels = engine::KernelsFor(level);
    if (kernels == nullptr) continue;
    if (only == "rounded") {
      engine::BenchRounded(*kernels, budget, argc > 3 ? argv[3] : "");
    } else if (only == "tiles" || level == engine::KernelLevel::kAmx) {
      engine::BenchTiles(*kernels, budget);  // the rest of amx is avx512's
    } else {
      engine::Bench(*kernels, budget);
    }
  }
}
