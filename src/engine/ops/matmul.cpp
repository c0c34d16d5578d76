#include "engine/ops/matmul.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/tensor/block_codes.h"

namespace moescope::engine {
namespace {

// A tile of 64 Ki floats (256 KiB) stays in a second-level cache beside the rows it meets. At least
// 64 columns, since rows of a wide model come from further away once a tile: with 16, products at
// k = 4096 ran at 53 % of the peak, with 64 at 71 %. At most 256, so that small matrices still give
// several tiles.
constexpr int64_t kTileFloats = 64 * 1024;
constexpr int64_t kMinColumns = 64;
constexpr int64_t kMaxColumns = 256;

constexpr size_t kLineFloats = 16;  // of a cache line; tiles begin at one

const std::byte* StoredRow(const WeightMatrix& w, int64_t row) {
  return w.data + static_cast<uint64_t>(row) * (w.n_bytes / static_cast<uint64_t>(w.rows));
}

bool UsableInPlace(const WeightMatrix& w) {
  return w.dtype == DType::kF32 && reinterpret_cast<uintptr_t>(w.data) % alignof(float) == 0;
}

void DequantiseRows(const KernelTable& kernels, const WeightMatrix& w, int64_t row, int64_t n_rows,
                    float* out) {
  const size_t n = static_cast<size_t>(n_rows * w.cols);
  if (w.dtype == DType::kF32) {
    std::memcpy(out, StoredRow(w, row), n * sizeof(float));
  } else {
    kernels.dequantise(w.dtype, StoredRow(w, row), out, n);
  }
}

}  // namespace

int64_t TileColumns(int64_t k) {
  return std::clamp(kTileFloats / std::max<int64_t>(k, 1), kMinColumns, kMaxColumns);
}

size_t TileFloats(int64_t k) {
  return static_cast<size_t>(TileColumns(k) * k);
}

size_t RoundedFloats(int64_t n_rows, int64_t k) {
  static_assert(sizeof(RoundedBlock) % sizeof(float) == 0);
  const size_t blocks =
      static_cast<size_t>(n_rows * (k / kRoundedValues)) * (sizeof(RoundedBlock) / sizeof(float));
  const size_t tiles =
      static_cast<size_t>(TilesOf(n_rows, k)) * (sizeof(TileOfRows) / sizeof(float));
  return std::max(blocks, tiles + kLineFloats);
}

Activations RoundRows(const KernelTable& kernels, Rows x, int64_t k, Rounding rounding,
                      float* scratch) {
  if (rounding == Rounding::kNone) return x;
  if (rounding == Rounding::kBFloat16) {
    const auto address = reinterpret_cast<uintptr_t>(scratch);
    constexpr uintptr_t kLine = kLineFloats * sizeof(float);
    auto* tiles = reinterpret_cast<TileOfRows*>((address + kLine - 1) / kLine * kLine);
    kernels.tiles->pack(x.data, x.stride, tiles, static_cast<int>(x.n_rows), static_cast<int>(k));
    return {x, tiles};
  }
  MOESCOPE_CHECK(k % kRoundedValues == 0);
  auto* blocks = reinterpret_cast<RoundedBlock*>(scratch);
  kernels.rounded.round(x.data, x.stride, blocks, static_cast<int>(x.n_rows), static_cast<int>(k));
  return {x, blocks};
}

void MultiplyStored(const KernelTable& kernels, const Activations& activations,
                    const WeightMatrix& w, int64_t begin, int64_t end, Rows out, float* tile) {
  const Rows& x = activations.rows;
  MOESCOPE_CHECK(0 <= begin && begin <= end && end <= w.rows);
  MOESCOPE_CHECK(x.n_rows == out.n_rows && w.cols <= static_cast<int64_t>(x.stride));
  MOESCOPE_CHECK(end - begin <= static_cast<int64_t>(out.stride) || x.n_rows <= 1);
  if (x.n_rows == 0 || begin == end) return;
  if (activations.tiles != nullptr) {
    kernels.tiles->multiply(w.dtype, activations.tiles, StoredRow(w, begin),
                            w.n_bytes / static_cast<uint64_t>(w.rows), out.data, out.stride,
                            static_cast<int>(x.n_rows), static_cast<int>(end - begin),
                            static_cast<int>(w.cols));
    return;
  }
  if (activations.rounded != nullptr && CodesOf(w.dtype).part > 0) {
    kernels.rounded.multiply(w.dtype, activations.rounded, StoredRow(w, begin),
                             w.n_bytes / static_cast<uint64_t>(w.rows), out.data, out.stride,
                             static_cast<int>(x.n_rows), static_cast<int>(end - begin),
                             static_cast<int>(w.cols));
    return;
  }
  const bool in_place = UsableInPlace(w);
  const int64_t step = TileColumns(w.cols);
  for (int64_t column = begin; column < end; column += step) {
    const int64_t n = std::min(step, end - column);
    const float* weights = reinterpret_cast<const float*>(StoredRow(w, column));
    if (!in_place) {
      DequantiseRows(kernels, w, column, n, tile);
      weights = tile;
    }
    kernels.multiply(x.data, x.stride, weights, static_cast<size_t>(w.cols),
                     out.data + (column - begin), out.stride, static_cast<int>(x.n_rows),
                     static_cast<int>(n), static_cast<int>(w.cols));
  }
}

void DequantiseRowOf(const KernelTable& kernels, const WeightMatrix& w, int64_t index, float* out) {
  MOESCOPE_CHECK(0 <= index && index < w.rows);
  DequantiseRows(kernels, w, index, 1, out);
}

}  // namespace moescope::engine
