// Products of packed rows with stored weights on tiles. Included only by this folder's kernels.cpp.
//
// Weights are the left side: a tile holds 32 values of k of 16 columns as they lie in memory, so
// unpacking needs no transposition; rows of activations are the right side, turned once by
// PackRows. Sums come out turned and are turned back once a product.
//
// How the tile unit is kept busy, by Intel's optimisation manual: a product of tiles occupies it
// for 16 cycles; loads of tiles run beside it, about 8 cycles each from the first-level cache and
// 21 from the second. A step of 32 values of k is four products (64 cycles), two tiles of weights
// from the first-level cache and two of rows from the second: about 58 cycles. The four sums are
// independent chains, which covers the latency of 52 cycles. A strip's chunk of weights (32 columns
// x 512 values, 32 KB) fits a first-level cache of 48 KB, the rows' chunk (256 KB for 256 rows) and
// the sums of 256 columns (256 KB) a second-level cache of 2 MB. Sums are loaded and stored once in
// 16 steps.
// Unpacking is what comes on top. Measured with AVX512-BF16 on a server core (Xeon model 207): 5 to
// 10 G values/s by type, Q4_0 8.7, Q4_K 7.5, Q8_0 9.9. A value meets all rows of the call, two
// operations each, so with 256 rows it could feed 3.8 to 5 TFLOP/s; beside a tile unit of 3.2 a
// core and nothing overlapped that leaves 45 to 60 % of the peak, with 64 rows 25 %, with 16 8 %.
// The rest are figures of the manual: no machine with AMX has run this. kernels_bench and `bench
// --machine` measure it on one that has it; if unpacking is what it waits for, the next step is to
// unpack the next chunk between the products of this one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"
#include "engine/kernels/amx/unpack.h"
#include "engine/kernels/tile_rows.h"

namespace moescope::engine {
namespace {

constexpr int kStrip = 2 * kTileLanes;             // columns of weights that are unpacked together
constexpr int kChunkTiles = 16;                    // along k; a multiple of every type's block
constexpr int kChunk = kChunkTiles * kTileValues;  // 512
constexpr int kRowsAtOnce = 256;
constexpr int kColumnsAtOnce = 256;
constexpr int kTileSums = kTileLanes * kTileLanes;  // of sums

// Not std::min: an inline function emitted here would carry this folder's instructions.
constexpr int Least(int a, int b) {
  return a < b ? a : b;
}

struct alignas(64) WeightPanel {
  TileOfWeights tiles[2][kChunkTiles];
};
// Of 32 rows and a strip: tile 2 c + r has 16 columns of 16 rows each.
struct alignas(64) SumBlock {
  float tiles[4][kTileSums];
};

struct TileProduct {
  const TileOfRows* x;
  const std::byte* w;
  size_t w_stride;
  float* out;
  size_t out_stride;
  int n_rows, n_cols, k;
  StoredType type;
};

// Columns [column, column + 32) of n values of k; those beyond the last repeat it.
void UnpackPanel(const TileProduct& all, int column, int begin, int n,
                 WeightPanel* panel) noexcept {
  const StoredType& type = all.type;
  const int begin_bytes = begin / type.block_elements * type.block_bytes;
  const int n_bytes = n / type.block_elements * type.block_bytes;
  for (int i = 0; i < kStrip; ++i) {
    const int from = column + i < all.n_cols ? column + i : all.n_cols - 1;
    const std::byte* row = all.w + static_cast<size_t>(from) * all.w_stride;
    // The same values of the next strip, which follows in memory.
    const std::byte* ahead = row + kStrip * all.w_stride + begin_bytes;
    for (int byte = 0; byte < n_bytes; byte += 64) _mm_prefetch(ahead + byte, _MM_HINT_T0);
    type.unpack(row, begin, n, panel->tiles[i / kTileLanes][0].values[i % kTileLanes]);
  }
}

// C tiles of columns times R tiles of rows over a chunk; `second`: from one block of 16 rows to the
// next.
template <int C, int R>
void MultiplyTiles(Tiles& tiles, const WeightPanel& w, const TileOfRows* x, size_t second,
                   int n_tiles, bool add, SumBlock* sums) noexcept {
  if (add) {
    tiles.Load<0>(sums->tiles[0]);
    if constexpr (R > 1) tiles.Load<1>(sums->tiles[1]);
    if constexpr (C > 1) tiles.Load<2>(sums->tiles[2]);
    if constexpr (C > 1 && R > 1) tiles.Load<3>(sums->tiles[3]);
  } else {
    tiles.Zero<0>();
    if constexpr (R > 1) tiles.Zero<1>();
    if constexpr (C > 1) tiles.Zero<2>();
    if constexpr (C > 1 && R > 1) tiles.Zero<3>();
  }
  for (int i = 0; i < n_tiles; ++i, ++x) {
    tiles.Load<4>(&w.tiles[0][i]);
    tiles.Load<6>(x);
    tiles.MultiplyAdd<0, 4, 6>();
    if constexpr (R > 1) {
      tiles.Load<7>(x + second);
      tiles.MultiplyAdd<1, 4, 7>();
    }
    if constexpr (C > 1) {
      tiles.Load<5>(&w.tiles[1][i]);
      tiles.MultiplyAdd<2, 5, 6>();
    }
    if constexpr (C > 1 && R > 1) tiles.MultiplyAdd<3, 5, 7>();
  }
  tiles.Store<0>(sums->tiles[0]);
  if constexpr (R > 1) tiles.Store<1>(sums->tiles[1]);
  if constexpr (C > 1) tiles.Store<2>(sums->tiles[2]);
  if constexpr (C > 1 && R > 1) tiles.Store<3>(sums->tiles[3]);
}

// The sums of one tile to their rows.
void StoreTurned(const float* tile, float* out, size_t out_stride, int n_rows,
                 int n_cols) noexcept {
  __m512i rows[kTileLanes];
  for (int i = 0; i < kTileLanes; ++i) rows[i] = _mm512_loadu_si512(tile + i * kTileLanes);
  Transpose16(rows);
  for (int r = 0; r < n_rows; ++r) {
    const Vec row = {_mm512_castsi512_ps(rows[r])};
    row.StoreFirst(out + static_cast<size_t>(r) * out_stride, n_cols);
  }
}

// Up to 32 rows from `row` and 32 columns from `column` on.
void StoreBlock(const TileProduct& all, int row, int column, const SumBlock& sums) noexcept {
  for (int c = 0; c < 2; ++c) {
    for (int r = 0; r < 2; ++r) {
      const int rows = Least(all.n_rows - row - r * kTileLanes, kTileLanes);
      const int columns = Least(all.n_cols - column - c * kTileLanes, kTileLanes);
      if (rows <= 0 || columns <= 0) continue;
      StoreTurned(sums.tiles[2 * c + r],
                  all.out + static_cast<size_t>(row + r * kTileLanes) * all.out_stride + column +
                      c * kTileLanes,
                  all.out_stride, rows, columns);
    }
  }
}

// All rows times the strip from `column` on, over the chunk from `begin` on. `sums`: one block for
// each 32 rows, or, where the chunk is the whole sum, one for all.
void MultiplyStrip(Tiles& tiles, const TileProduct& all, int column, int begin,
                   SumBlock* sums) noexcept {
  const int n = Least(all.k - begin, kChunk);
  const bool first = begin == 0, last = begin + n == all.k;
  WeightPanel panel;
  UnpackPanel(all, column, begin, n, &panel);
  const auto along_k = static_cast<size_t>(TilesOf(all.k));
  const bool one_column = all.n_cols - column <= kTileLanes;
  for (int row = 0; row < all.n_rows; row += 2 * kTileLanes) {
    const bool one_row = all.n_rows - row <= kTileLanes;
    const auto multiply = one_column ? (one_row ? MultiplyTiles<1, 1> : MultiplyTiles<1, 2>)
                                     : (one_row ? MultiplyTiles<2, 1> : MultiplyTiles<2, 2>);
    multiply(tiles, panel,
             all.x + static_cast<size_t>(row / kTileLanes) * along_k + begin / kTileValues, along_k,
             static_cast<int>(TilesOf(n)), !first, sums);
    if (last) StoreBlock(all, row, column, *sums);
    if (!first || !last) ++sums;
  }
}

// Up to 256 rows, all columns: chunk after chunk of k for 256 columns at a time.
void MultiplyRows(Tiles& tiles, const TileProduct& all) noexcept {
  constexpr int kStripBlocks = kRowsAtOnce / (2 * kTileLanes);
  SumBlock sums[kColumnsAtOnce / kStrip * kStripBlocks];
  for (int columns = 0; columns < all.n_cols; columns += kColumnsAtOnce) {
    const int end = Least(columns + kColumnsAtOnce, all.n_cols);
    for (int begin = 0; begin < all.k; begin += kChunk) {
      for (int column = columns; column < end; column += kStrip) {
        MultiplyStrip(tiles, all, column, begin, sums + (column - columns) / kStrip * kStripBlocks);
      }
    }
  }
}

void MultiplyPackedRows(DType dtype, const TileOfRows* x, const void* w, size_t w_stride,
                        float* out, size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  Tiles tiles;
  for (int row = 0; row < n_rows; row += kRowsAtOnce) {
    MultiplyRows(tiles, {.x = x + TilesOf(row, k),
                         .w = static_cast<const std::byte*>(w),
                         .w_stride = w_stride,
                         .out = out + static_cast<size_t>(row) * out_stride,
                         .out_stride = out_stride,
                         .n_rows = Least(n_rows - row, kRowsAtOnce),
                         .n_cols = n_cols,
                         .k = k,
                         .type = StoredTypeOf(dtype)});
  }
}

struct ColumnsProduct {
  const float* x;
  size_t x_stride;
  const float* w;
  size_t w_stride;
  float* out;
  size_t out_stride;
  int n_rows, n_cols, k;
};

// Up to 32 rows and columns from `column` on; here tile 2 r + c has 16 rows of 16 columns each.
void StoreColumns(const ColumnsProduct& all, int column, const SumBlock& sums) noexcept {
  for (int row = 0; row < all.n_rows; ++row) {
    float* out = all.out + static_cast<size_t>(row) * all.out_stride + column;
    for (int c = 0; c < 2 && column + c * kTileLanes < all.n_cols; ++c) {
      const float* sum = sums.tiles[row / kTileLanes * 2 + c] + row % kTileLanes * kTileLanes;
      Vec::Load(sum).StoreFirst(out + c * kTileLanes,
                                Least(all.n_cols - column - c * kTileLanes, kTileLanes));
    }
  }
}

// The chunk of k from `begin` on of up to 32 rows, unpacked, times columns [column, end).
void MultiplyColumnsChunk(Tiles& tiles, const ColumnsProduct& all, const WeightPanel& rows,
                          int begin, int column, int end, SumBlock* sums) noexcept {
  const int n = Least(all.k - begin, kChunk);
  const bool first = begin == 0, last = begin + n == all.k;
  const bool one_row = all.n_rows <= kTileLanes;
  alignas(64) TileOfRows panel[2][kChunkTiles];
  for (; column < end; column += kStrip) {
    const bool one_column = all.n_cols - column <= kTileLanes;
    const float* w = all.w + static_cast<size_t>(begin) * all.w_stride + column;
    PackColumnsOf(w, all.w_stride, Least(all.n_cols - column, kTileLanes), n, panel[0]);
    if (!one_column) {
      PackColumnsOf(w + kTileLanes, all.w_stride,
                    Least(all.n_cols - column - kTileLanes, kTileLanes), n, panel[1]);
    }
    const auto multiply = one_row ? (one_column ? MultiplyTiles<1, 1> : MultiplyTiles<1, 2>)
                                  : (one_column ? MultiplyTiles<2, 1> : MultiplyTiles<2, 2>);
    multiply(tiles, rows, panel[0], kChunkTiles, static_cast<int>(TilesOf(n)), !first, sums);
    if (last) StoreColumns(all, column, *sums);
    ++sums;
  }
}

void MultiplyColumnsOnTiles(const float* x, size_t x_stride, const float* w, size_t w_stride,
                            float* out, size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  Tiles tiles;
  WeightPanel rows;
  SumBlock sums[kColumnsAtOnce / kStrip];
  for (int row = 0; row < n_rows; row += kStrip) {
    const ColumnsProduct all = {.x = x + static_cast<size_t>(row) * x_stride,
                                .x_stride = x_stride,
                                .w = w,
                                .w_stride = w_stride,
                                .out = out + static_cast<size_t>(row) * out_stride,
                                .out_stride = out_stride,
                                .n_rows = Least(n_rows - row, kStrip),
                                .n_cols = n_cols,
                                .k = k};
    for (int column = 0; column < n_cols; column += kColumnsAtOnce) {
      for (int begin = 0; begin < k; begin += kChunk) {
        for (int i = 0; i < kStrip; ++i) {  // rows beyond the last repeat it
          const float* from = all.x + static_cast<size_t>(Least(i, all.n_rows - 1)) * x_stride;
          UnpackF32(reinterpret_cast<const std::byte*>(from), begin, Least(k - begin, kChunk),
                    rows.tiles[i / kTileLanes][0].values[i % kTileLanes]);
        }
        MultiplyColumnsChunk(tiles, all, rows, begin, column,
                             Least(column + kColumnsAtOnce, n_cols), sums);
      }
    }
  }
}

// Four chains, as many as a product has.
double TilePeak(int64_t rounds) noexcept {
  TileOfRows rows;
  for (auto& pair : rows.pairs) {
    for (auto& row : pair) row[0] = row[1] = 0x3f80;  // 1
  }
  alignas(64) float sums[kTileSums];
  Tiles tiles;
  tiles.Zero<0>();
  tiles.Zero<1>();
  tiles.Zero<2>();
  tiles.Zero<3>();
  tiles.Load<4>(&rows);
  tiles.Load<5>(&rows);
  tiles.Load<6>(&rows);
  tiles.Load<7>(&rows);
  for (int64_t round = 0; round < rounds; ++round) {
    tiles.MultiplyAdd<0, 4, 6>();
    tiles.MultiplyAdd<1, 4, 7>();
    tiles.MultiplyAdd<2, 5, 6>();
    tiles.MultiplyAdd<3, 5, 7>();
  }
  tiles.Store<3>(sums);
  volatile float keep = sums[0];
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 4 * 2 * kTileSums * kTileValues;
}

}  // namespace
}  // namespace moescope::engine
