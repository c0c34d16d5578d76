// The arithmetic of one instruction-set level, as plain function pointers. `scalar` fills every
// entry; other levels override some. Nothing here allocates, throws or checks.
//
// Numeric contract (docs/numerics.md): a sum over k runs in blocks of kSumBlock, each block summed
// with lane = k mod width, one chain a lane (fused multiply-add) and a fixed reduction tree, blocks
// added in order. So an output element depends only on its own two rows and the level, never on how
// many rows are computed together, on tiles or on threads. Tails use the masked vector code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/tensor/dtype.h"
#include "engine/kernels/rounded_block.h"
#include "engine/kernels/tile_rows.h"

namespace moescope::engine {

inline constexpr int kSumBlock = 1024;

enum class KernelLevel { kScalar, kAvx2, kAvx512, kAmx };
std::string_view Name(KernelLevel level);  // "scalar", "avx2", "avx512", "amx"

// What precision `fast` adds. The same bits at every level that uses it: sums of whole numbers are
// exact, and the few floating-point operations are the same ones in the same order
// (docs/numerics.md).
struct RoundedKernels {
  // out[r * k / 32 + b] = block b of row r of x [n_rows, k], strides in floats. k a multiple of 32.
  void (*round)(const float* x, size_t x_stride, RoundedBlock* out, int n_rows, int k) noexcept;

  // out[r * out_stride + c] = sum_k x[r, k] * w[c, k]
  //   x [n_rows, k / 32] blocks; w n_cols rows of blocks of `dtype`, `w_stride` bytes apart, at any
  //   address. Requires: CodesOf(dtype).part > 0, k > 0 a multiple of its block, n_rows, n_cols >
  //   0.
  // Weights are unpacked once a call, in 50 KB of stack: hand over all rows there are.
  void (*multiply)(DType dtype, const RoundedBlock* x, const void* w, size_t w_stride, float* out,
                   size_t out_stride, int n_rows, int n_cols, int k) noexcept;

  // Runs `rounds` rounds of the level's fastest sums of bytes times bytes in registers, widened as
  // often as codes of `dtype` need; returns the number of operations done (a product and its
  // addition are two). For `bench --machine`.
  double (*peak)(DType dtype, int64_t rounds) noexcept;
};

// What `fast` uses instead where many rows come together (sweeps and prompts), at a level with
// tiles: both sides rounded to bfloat16, sums as docs/numerics.md says.
struct TileKernels {
  // Row r of x [n_rows, k], stride in floats, to lane r % 16 of the tiles from
  // out[r / 16 * TilesOf(k)] on. k > 0.
  void (*pack)(const float* x, size_t x_stride, TileOfRows* out, int n_rows, int k) noexcept;

  // out[r * out_stride + c] = sum_k x[r, k] * w[c, k]
  //   x TilesOf(n_rows, k) tiles, best at a multiple of 64 bytes; w n_cols rows of `dtype`, any
  //   type, `w_stride` bytes apart, at any address. Requires: n_rows, n_cols > 0, k > 0 a multiple
  //   of the type's block.
  // Weights are unpacked once for 256 rows, and rows read once for 256 columns, in 300 KB of
  // stack: hand over all rows and columns there are. The thread's tiles are configured by a call
  // and released at its end.
  void (*multiply)(DType dtype, const TileOfRows* x, const void* w, size_t w_stride, float* out,
                   size_t out_stride, int n_rows, int n_cols, int k) noexcept;

  // out[r * out_stride + c] = sum_k x[r * x_stride + k] * w[k * w_stride + c]
  //   x [n_rows, k], w [k, n_cols] float32, strides in floats, rounded on the way: for attention.
  //   k > 0. x is read once for 256 columns and w for 32 rows, in 64 KB of stack.
  void (*multiply_columns)(const float* x, size_t x_stride, const float* w, size_t w_stride,
                           float* out, size_t out_stride, int n_rows, int n_cols, int k) noexcept;

  // As RoundedKernels::peak, of tile products in registers.
  double (*peak)(int64_t rounds) noexcept;
};

struct KernelTable {
  KernelLevel level;
  int width;  // float lanes of a sum

  // out[r * out_stride + c] = sum_k x[r * x_stride + k] * w[c * w_stride + k]
  //   x [n_rows, k], w [n_cols, k] float32, strides in floats; any n_rows, n_cols, k >= 0.
  // From 48 rows on vector levels repack w, once a call and in 256 KB of stack: hand over all rows
  // there are, and a multiple of 64 columns or all of them.
  void (*multiply)(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
                   size_t out_stride, int n_rows, int n_cols, int k) noexcept;

  // out[r * out_stride + c] = sum_k x[r * x_stride + k] * w[k * w_stride + c]
  //   x [n_rows, k], w [k, n_cols] float32: lanes run along the columns, so a sum is one chain in
  //   order of k within each block, and short sums need no reduction. For attention.
  void (*multiply_columns)(const float* x, size_t x_stride, const float* w, size_t w_stride,
                           float* out, size_t out_stride, int n_rows, int n_cols, int k) noexcept;

  // Exact conversion of n stored elements (a multiple of the block) to float32.
  void (*dequantise)(DType dtype, const void* stored, float* out, size_t n) noexcept;

  // out = x / sqrt(mean(x^2) + eps) * weight over n elements. Source: arXiv 1910.07467.
  void (*rms_norm)(const float* x, const float* weight, float eps, float* out, int n) noexcept;

  // out = (x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias over n elements.
  // Source: arXiv 1607.06450.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* out,
                     int n) noexcept;

  // gate[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)). Source: arXiv 2002.05202.
  void (*silu_multiply)(float* gate, const float* up, size_t n) noexcept;

  // x[i] = gelu(x[i]) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the form by tanh.
  // Source: arXiv 1606.08415.
  void (*gelu)(float* x, size_t n) noexcept;

  // out[i] += scale * x[i], multiply then add (two roundings at every level).
  void (*add_scaled)(float* out, const float* x, float scale, size_t n) noexcept;

  // In place softmax over n scores; the largest is subtracted first; n >= 1.
  void (*softmax)(float* scores, int n) noexcept;

  // Over one row of n logits: -log softmax(logits)[target] in nats. n >= 1.
  float (*cross_entropy)(const float* logits, int n, int target) noexcept;

  // Runs `rounds` rounds of independent fused multiply-adds in registers; returns the number of
  // floating-point operations done. For `bench --machine`.
  double (*fma_peak)(int64_t rounds) noexcept;

  RoundedKernels rounded;
  const TileKernels* tiles = nullptr;  // null: the level has none
};

// The table of a level, or null when this build or machine lacks it.
const KernelTable* KernelsFor(KernelLevel level);
// The best level of this machine, lowered by MOESCOPE_KERNELS=scalar|avx2|avx512|amx.
// Throws Error(kBadInput) for another value, Error(kUnsupported) for a level the machine lacks.
const KernelTable& SelectKernels();

}  // namespace moescope::engine
