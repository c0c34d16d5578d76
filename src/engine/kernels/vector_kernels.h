// The kernels of every vector level, written once over a vector type. Included by the one .cpp of
// each ISA folder after it has defined `Vec` in an anonymous namespace; so everything here has
// internal linkage, is compiled with that folder's flags, and cannot replace another level's copy
// at link time. Numeric contract: docs/numerics.md.
//
// Vec offers: kWidth, Zero, Set(float), Load(p), LoadFirst(p, n), StoreFirst(p, n), operators + - *
// /, Fma(a, b, c), Max(a, b), RoundToInt(a), ScaleByPowerOfTwo(a, n), Sum() and MaxLane() by a
// fixed tree, LoadHalf(p), LoadBFloat(p), what vector_dequantise.h needs; kTileRows x kTileColumns
// accumulators fit in registers, and StoreSums writes their sums by the same tree as Sum();
// kColumnRows x kColumnVectors accumulators do beside kColumnVectors vectors of weights. kLaneOrder
// lists the lanes so that adding neighbours, then neighbouring pairs, ... is that tree; Transpose4
// turns four rows of four.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/tensor/dtype.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/vector_dequantise.h"
#include "engine/kernels/vector_packed.h"

namespace moescope::engine {
namespace {

// R x C dot products over one block of k <= kSumBlock elements: lane = k mod width, one fused chain
// a lane.
template <int R, int C>
inline __attribute__((always_inline)) void MultiplyTile(const float* x, size_t x_stride,
                                                        const float* w, size_t w_stride, float* out,
                                                        size_t out_stride, int k, bool add) {
  Vec sums[R][C];
  for (auto& row : sums) {
    for (Vec& sum : row) sum = Vec::Zero();
  }
  int i = 0;
  for (; i + Vec::kWidth <= k; i += Vec::kWidth) {
    Vec columns[C];
    for (int c = 0; c < C; ++c) columns[c] = Vec::Load(w + c * w_stride + i);
    for (int r = 0; r < R; ++r) {
      Vec row = Vec::Load(x + r * x_stride + i);
      for (int c = 0; c < C; ++c) sums[r][c] = Fma(row, columns[c], sums[r][c]);
    }
  }
  if (i < k) {
    Vec columns[C];
    for (int c = 0; c < C; ++c) columns[c] = Vec::LoadFirst(w + c * w_stride + i, k - i);
    for (int r = 0; r < R; ++r) {
      Vec row = Vec::LoadFirst(x + r * x_stride + i, k - i);
      for (int c = 0; c < C; ++c) sums[r][c] = Fma(row, columns[c], sums[r][c]);
    }
  }
  StoreSums<R, C>(sums, out, out_stride, add);
}

// Not std::min: an inline function emitted here would carry this folder's instructions.
constexpr int Smaller(int a, int b) {
  return a < b ? a : b;
}

using TileFunction = void (*)(const float*, size_t, const float*, size_t, float*, size_t, int,
                              bool);

// Tiles of fewer rows or columns, for the edges: [n_rows - 1][n_cols - 1].
template <int... I>
constexpr auto TileTable(std::integer_sequence<int, I...>) {
  struct Table {
    TileFunction tiles[sizeof...(I)];
  };
  return Table{{MultiplyTile<I / kTileColumns + 1, I % kTileColumns + 1>...}};
}
constexpr auto kTiles = TileTable(std::make_integer_sequence<int, kTileRows * kTileColumns>{});

// Weight columns that stay in the first-level cache while rows stream past them.
int PanelColumns(int k) {
  constexpr int kPanelBytes = 24 * 1024;
  if (k < 1) return kTileColumns;
  int columns = kPanelBytes / (static_cast<int>(sizeof(float)) * k);
  return columns < kTileColumns ? kTileColumns : columns / kTileColumns * kTileColumns;
}

void MultiplyBlock(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
                   size_t out_stride, int n_rows, int n_cols, int k, bool add) {
  const int panel = PanelColumns(k);
  for (int first = 0; first < n_cols; first += panel) {
    const int end = Smaller(first + panel, n_cols);
    for (int row = 0; row < n_rows; row += kTileRows) {
      const int rows = Smaller(kTileRows, n_rows - row);
      for (int column = first; column < end; column += kTileColumns) {
        const int columns = Smaller(kTileColumns, end - column);
        const float* x_tile = x + static_cast<size_t>(row) * x_stride;
        const float* w_tile = w + static_cast<size_t>(column) * w_stride;
        float* out_tile = out + static_cast<size_t>(row) * out_stride + static_cast<size_t>(column);
        // Whole tiles inline: at k = 256 a call through the table costs 4 % of the product.
        if (rows == kTileRows && columns == kTileColumns) {
          MultiplyTile<kTileRows, kTileColumns>(x_tile, x_stride, w_tile, w_stride, out_tile,
                                                out_stride, k, add);
        } else {
          kTiles.tiles[(rows - 1) * kTileColumns + columns - 1](x_tile, x_stride, w_tile, w_stride,
                                                                out_tile, out_stride, k, add);
        }
      }
    }
  }
}

void Multiply(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
              size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  int begin = 0;
  do {
    const int block = Smaller(k - begin, kSumBlock);
    int column = 0;
    if (n_rows >= kFewestPackedRows && block >= kShortestPackedSum) {
      column = MultiplyPacked(
          {x + begin, x_stride, w + begin, w_stride, out, out_stride, n_rows, block, begin > 0},
          n_cols);
    }
    MultiplyBlock(x + begin, x_stride, w + static_cast<size_t>(column) * w_stride + begin, w_stride,
                  out + column, out_stride, n_rows, n_cols - column, block, begin > 0);
    begin += kSumBlock;
  } while (begin < k);
}

// R rows x C vectors of columns over one block of k elements: a row's element meets C vectors of
// weights, so that each output is one fused chain over k. `last`: lanes of the last vector.
template <int R, int C>
void MultiplyColumnsTile(const float* x, size_t x_stride, const float* w, size_t w_stride,
                         float* out, size_t out_stride, int k, int last, bool add) {
  Vec sums[R][C];
  for (auto& row : sums) {
    for (Vec& sum : row) sum = Vec::Zero();
  }
  auto accumulate = [&](auto load_last) {
    for (int i = 0; i < k; ++i) {
      Vec columns[C];
      for (int c = 0; c < C - 1; ++c) columns[c] = Vec::Load(w + c * Vec::kWidth);
      columns[C - 1] = load_last(w + (C - 1) * Vec::kWidth);
      w += w_stride;
      for (int r = 0; r < R; ++r) {
        const Vec row = Vec::Set(x[r * x_stride + i]);
        for (int c = 0; c < C; ++c) sums[r][c] = Fma(row, columns[c], sums[r][c]);
      }
    }
  };
  if (last == Vec::kWidth) {
    accumulate([](const float* p) { return Vec::Load(p); });
  } else {
    accumulate([last](const float* p) { return Vec::LoadFirst(p, last); });
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      float* place = out + r * out_stride + c * Vec::kWidth;
      const int lanes = c == C - 1 ? last : Vec::kWidth;
      Vec sum = sums[r][c];
      if (add) sum = Vec::LoadFirst(place, lanes) + sum;
      sum.StoreFirst(place, lanes);
    }
  }
}

using ColumnsTileFunction = void (*)(const float*, size_t, const float*, size_t, float*, size_t,
                                     int, int, bool);
template <int... I>
constexpr auto ColumnsTileTable(std::integer_sequence<int, I...>) {
  struct Table {
    ColumnsTileFunction tiles[sizeof...(I)];
  };
  return Table{{MultiplyColumnsTile<I / kColumnVectors + 1, I % kColumnVectors + 1>...}};
}
constexpr auto kColumnsTiles =
    ColumnsTileTable(std::make_integer_sequence<int, kColumnRows * kColumnVectors>{});

void MultiplyColumns(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
                     size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  constexpr int kStep = kColumnVectors * Vec::kWidth;
  int begin = 0;
  do {
    const int block = Smaller(k - begin, kSumBlock);
    for (int column = 0; column < n_cols; column += kStep) {
      const int columns = Smaller(kStep, n_cols - column);
      const int vectors = (columns + Vec::kWidth - 1) / Vec::kWidth;
      for (int row = 0; row < n_rows; row += kColumnRows) {
        const int rows = Smaller(kColumnRows, n_rows - row);
        kColumnsTiles.tiles[(rows - 1) * kColumnVectors + vectors - 1](
            x + static_cast<size_t>(row) * x_stride + begin, x_stride,
            w + static_cast<size_t>(begin) * w_stride + column, w_stride,
            out + static_cast<size_t>(row) * out_stride + static_cast<size_t>(column), out_stride,
            block, columns - (vectors - 1) * Vec::kWidth, begin > 0);
      }
    }
    begin += kSumBlock;
  } while (begin < k);
}

// Applies fn(vector at i, i, lanes) over n elements; the last call may have fewer lanes.
template <typename F>
void ForEachVector(int n, F fn) {
  for (int i = 0; i < n; i += Vec::kWidth) fn(i, Smaller(Vec::kWidth, n - i));
}

// Sum over n elements by the contract: blocks of kSumBlock, lanes, fixed tree, blocks in order.
// term(i, lanes) gives the vector of addends at i, zero in the lanes beyond.
template <typename F>
float SumOf(int n, F term) {
  float total = 0;
  for (int begin = 0; begin < n; begin += kSumBlock) {
    const int end = Smaller(begin + kSumBlock, n);
    Vec sum = Vec::Zero();
    for (int i = begin; i < end; i += Vec::kWidth)
      sum = sum + term(i, Smaller(Vec::kWidth, end - i));
    total += sum.Sum();
  }
  return total;
}

// e^x for x <= 88, 0 below -87: x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor polynomial of
// degree 7 in r, whose remainder is below r^8 / 8! * e^r < 7.4e-9 relative. Error:
// docs/numerics.md.
Vec Exp(Vec x) {
  constexpr float kLog2E = 1.44269504f;
  // ln 2 in two parts: the first has 12 significant bits, so that n times it is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kSmallest = -87.0f;
  Vec clamped = Max(x, Vec::Set(kSmallest));
  Vec n = RoundToInt(clamped * Vec::Set(kLog2E));
  Vec r = Fma(n, Vec::Set(-kLn2High), clamped);
  r = Fma(n, Vec::Set(-kLn2Low), r);
  Vec p = Vec::Set(1.0f / 5040);
  for (float coefficient : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    p = Fma(p, r, Vec::Set(coefficient));
  }
  return ZeroWhereBelow(ScaleByPowerOfTwo(p, n), x, Vec::Set(kSmallest));
}

float MaxOf(const float* values, int n) {
  Vec largest = Vec::Set(values[0]);
  ForEachVector(n, [&](int i, int lanes) {
    // Lanes beyond the end repeat the first value.
    largest = Max(largest, lanes == Vec::kWidth ? Vec::Load(values + i)
                                                : Vec::LoadFirst(values + i, lanes, values[0]));
  });
  return largest.MaxLane();
}

void RmsNorm(const float* x, const float* weight, float eps, float* out, int n) noexcept {
  float squares = SumOf(n, [&](int i, int lanes) {
    Vec value = Vec::LoadFirst(x + i, lanes);
    return value * value;
  });
  Vec scale = Vec::Set(1 / std::sqrt(squares / static_cast<float>(n) + eps));
  ForEachVector(n, [&](int i, int lanes) {
    (Vec::LoadFirst(x + i, lanes) * scale * Vec::LoadFirst(weight + i, lanes))
        .StoreFirst(out + i, lanes);
  });
}

void LayerNorm(const float* x, const float* weight, const float* bias, float eps, float* out,
               int n) noexcept {
  const float count = static_cast<float>(n);
  const float mean =
      SumOf(n, [&](int i, int lanes) { return Vec::LoadFirst(x + i, lanes); }) / count;
  const Vec shift = Vec::Set(mean);
  // Lanes beyond the end hold the mean, so that they add nothing.
  const float squares = SumOf(n, [&](int i, int lanes) {
    Vec value = Vec::LoadFirst(x + i, lanes, mean) - shift;
    return value * value;
  });
  const Vec scale = Vec::Set(1 / std::sqrt(squares / count + eps));
  ForEachVector(n, [&](int i, int lanes) {
    const Vec value = (Vec::LoadFirst(x + i, lanes) - shift) * scale;
    (value * Vec::LoadFirst(weight + i, lanes) + Vec::LoadFirst(bias + i, lanes))
        .StoreFirst(out + i, lanes);
  });
}

void SiluMultiply(float* gate, const float* up, size_t n) noexcept {
  const Vec one = Vec::Set(1);
  const Vec limit = Vec::Set(-88);
  for (size_t i = 0; i < n; i += Vec::kWidth) {
    int lanes = n - i < Vec::kWidth ? static_cast<int>(n - i) : Vec::kWidth;
    Vec g = Vec::LoadFirst(gate + i, lanes);
    // e^-g is clamped to a finite value; where that bites the result is below 6e-37: taken as 0.
    Vec silu = ZeroWhereBelow(g / (one + Exp(Vec::Zero() - Max(g, limit))), g, limit);
    (silu * Vec::LoadFirst(up + i, lanes)).StoreFirst(gate + i, lanes);
  }
}

void Gelu(float* x, size_t n) noexcept {
  const Vec one = Vec::Set(1);
  const Vec limit = Vec::Set(-88);
  const Vec cubic = Vec::Set(0.044715f);
  const Vec twice_root = Vec::Set(1.5957691216f);  // 2 sqrt(2 / pi)
  for (size_t i = 0; i < n; i += Vec::kWidth) {
    int lanes = n - i < Vec::kWidth ? static_cast<int>(n - i) : Vec::kWidth;
    const Vec value = Vec::LoadFirst(x + i, lanes);
    const Vec u = twice_root * (value + cubic * value * value * value);
    // As in SiluMultiply: where e^-u is clamped the result is below 6e-37.
    ZeroWhereBelow(value / (one + Exp(Vec::Zero() - Max(u, limit))), u, limit)
        .StoreFirst(x + i, lanes);
  }
}

void AddScaled(float* out, const float* x, float scale, size_t n) noexcept {
  const Vec factor = Vec::Set(scale);
  for (size_t i = 0; i < n; i += Vec::kWidth) {
    int lanes = n - i < Vec::kWidth ? static_cast<int>(n - i) : Vec::kWidth;
    (Vec::LoadFirst(out + i, lanes) + factor * Vec::LoadFirst(x + i, lanes))
        .StoreFirst(out + i, lanes);
  }
}

void Softmax(float* scores, int n) noexcept {
  const Vec largest = Vec::Set(MaxOf(scores, n));
  float sum = SumOf(n, [&](int i, int lanes) {
    Vec e = Exp(Vec::LoadFirst(scores + i, lanes) - largest);
    e.StoreFirst(scores + i, lanes);
    return lanes == Vec::kWidth ? e : Vec::LoadFirst(scores + i, lanes);
  });
  const Vec inverse = Vec::Set(1 / sum);
  ForEachVector(n, [&](int i, int lanes) {
    (Vec::LoadFirst(scores + i, lanes) * inverse).StoreFirst(scores + i, lanes);
  });
}

float CrossEntropy(const float* logits, int n, int target) noexcept {
  const float largest = MaxOf(logits, n);
  const Vec shift = Vec::Set(largest);
  float sum = SumOf(n, [&](int i, int lanes) {
    if (lanes == Vec::kWidth) return Exp(Vec::Load(logits + i) - shift);
    return Exp(Vec::LoadFirst(logits + i, lanes, -HUGE_VALF) - shift);
  });
  return std::log(sum) + largest - logits[target];
}

void Dequantise(DType dtype, const void* stored, float* out, size_t n) noexcept {
  if (dtype == DType::kF32) {
    std::memcpy(out, stored, n * sizeof(float));
    return;
  }
  if (dtype != DType::kF16 && dtype != DType::kBF16) {
    return DequantiseBlocks(dtype, stored, out, n);
  }
  const auto* halves = static_cast<const uint16_t*>(stored);
  size_t i = 0;
  for (; i + Vec::kWidth <= n; i += Vec::kWidth) {
    Vec values = dtype == DType::kF16 ? Vec::LoadHalf(halves + i) : Vec::LoadBFloat(halves + i);
    values.StoreFirst(out + i, Vec::kWidth);
  }
  for (; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, halves + i, sizeof(bits));
    const uint32_t widened = uint32_t{bits} << 16;
    if (dtype == DType::kF16) {
      out[i] = F16ToF32(bits);
    } else {
      std::memcpy(out + i, &widened, sizeof(widened));
    }
  }
}

// Independent chains enough to hide the latency of two units.
double FmaPeak(int64_t rounds) noexcept {
  constexpr int kChains = 12;
  Vec sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = Vec::Set(static_cast<float>(i));
  const Vec a = Vec::Set(0.999f);
  const Vec b = Vec::Set(0.001f);
  for (int64_t round = 0; round < rounds; ++round) {
    for (Vec& sum : sums) sum = Fma(sum, a, b);
  }
  Vec total = Vec::Zero();
  for (Vec sum : sums) total = total + sum;
  volatile float keep = total.Sum();
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 2 * kChains * Vec::kWidth;
}

constexpr KernelTable MakeKernelTable(KernelLevel level, const RoundedKernels& rounded) {
  return {.level = level,
          .width = Vec::kWidth,
          .multiply = Multiply,
          .multiply_columns = MultiplyColumns,
          .dequantise = Dequantise,
          .rms_norm = RmsNorm,
          .layer_norm = LayerNorm,
          .silu_multiply = SiluMultiply,
          .gelu = Gelu,
          .add_scaled = AddScaled,
          .softmax = Softmax,
          .cross_entropy = CrossEntropy,
          .fma_peak = FmaPeak,
          .rounded = rounded};
}

}  // namespace
}  // namespace moescope::engine
