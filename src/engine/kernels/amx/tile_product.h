// Products of packed rows with stored weights on tiles. Included only by this folder's kernels.cpp.
//
// Weights are the left side: a tile holds 32 values of k of 16 columns as they lie in memory, so
// unpacking needs no transposition; rows of activations are the right side, turned once by
// PackRows. Sums come out turned and are turned back once a product.
//
// How the tile unit is kept busy, with what Intel publishes for it: a product of tiles occupies it
// for 16 cycles and takes 52; a tile is loaded in 8 cycles from the first-level cache and, at 48
// bytes a cycle, in 21 from the second. A step of 32 values of k is four products (64 cycles), two
// tiles of weights from the first-level cache and two of rows from the second (58 cycles of loads
// beside them). The four sums are independent chains, which covers the latency. They are loaded and
// stored once in 8 steps. A chunk of weights (32 columns x 256 values, 16 KB), the same of 32 rows
// (16 KB) and what is written ahead stay within a first-level cache of 48 KB, so weights are still
// there for the next 32 rows; the chunk of 256 rows (128 KB) and the sums of 256 columns (256 KB)
// within a second-level cache of 2 MB.
// While a strip is multiplied the next one is unpacked, a column after every few steps: vector
// units work beside the tile unit, and a column is about what the processor can hold in flight.
// Unpacking alone, measured with AVX512-BF16 on a server core (Xeon model 207): 5 to 10 G values/s
// by type, Q4_0 8.7, Q4_K 7.5, Q8_0 9.9. A value meets all rows of the call, two operations each:
// with 256 rows that feeds 2.5 to 5 TFLOP/s a core, with 64 rows a quarter, with 16 a sixteenth.
// Nothing else here is measured: no machine with AMX has run it. kernels_bench and `bench
// --machine` do on one that has it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"
#include "engine/kernels/amx/unpack.h"
#include "engine/kernels/tile_rows.h"

namespace moescope::engine {
namespace {

constexpr int kStrip = 2 * kTileLanes;             // columns of weights that are unpacked together
constexpr int kChunkTiles = 8;                     // along k; a multiple of every type's block
constexpr int kChunk = kChunkTiles * kTileValues;  // 256
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

// A strip over a chunk: what is unpacked at a time. In the order of work: strips of 256 columns,
// then their next chunk, then the next 256 columns.
struct Piece {
  int group = 0, begin = 0, column = 0;  // first column of the 256, of k, of the strip

  bool Exists(const TileProduct& all) const { return group < all.n_cols; }
  Piece Next(const TileProduct& all) const {
    const Piece strip = {group, begin, column + kStrip};
    if (strip.column < Least(group + kColumnsAtOnce, all.n_cols)) return strip;
    if (begin + kChunk < all.k) return {group, begin + kChunk, group};
    return {group + kColumnsAtOnce, 0, group + kColumnsAtOnce};
  }
};

// Unpacks a piece little by little while another one is multiplied in `n_steps` steps.
class UnpackAhead {
 public:
  UnpackAhead(const TileProduct& all, const Piece& piece, int n_steps, WeightPanel* panel)
      : all_(all), piece_(piece), n_steps_(n_steps), panel_(panel) {
    const int left = piece.Exists(all) ? all.n_cols - piece.column : 0;
    n_columns_ = left > kTileLanes ? kStrip : left > 0 ? kTileLanes : 0;
  }
  MOESCOPE_INLINE void Step() {
    for (due_ += n_columns_; due_ >= n_steps_; due_ -= n_steps_) UnpackColumn();
  }
  void Finish() noexcept {
    while (column_ < n_columns_) UnpackColumn();
  }

 private:
  // Columns beyond the last repeat it.
  __attribute__((noinline)) void UnpackColumn() noexcept {
    if (column_ == n_columns_) return;
    const StoredType& type = all_.type;
    const int n = Least(all_.k - piece_.begin, kChunk);
    const int from = Least(piece_.column + column_, all_.n_cols - 1);
    const std::byte* row = all_.w + static_cast<size_t>(from) * all_.w_stride;
    // The same values of the next strip, which follows in memory.
    const std::byte* ahead = row + kStrip * all_.w_stride +
                             static_cast<size_t>(piece_.begin / type.block_elements) *
                                 static_cast<size_t>(type.block_bytes);
    const int n_bytes = n / type.block_elements * type.block_bytes;
    for (int byte = 0; byte < n_bytes; byte += 64) _mm_prefetch(ahead + byte, _MM_HINT_T0);
    type.unpack(row, piece_.begin, n,
                panel_->tiles[column_ / kTileLanes][0].values[column_ % kTileLanes]);
    ++column_;
  }

  const TileProduct& all_;
  const Piece piece_;
  const int n_steps_;
  WeightPanel* const panel_;
  int n_columns_ = 0, column_ = 0, due_ = 0;
};
struct NothingAhead {
  void Step() {}
};

// C tiles of columns times R tiles of rows over a chunk; `second`: from one block of 16 rows to the
// next.
template <int C, int R, typename Ahead>
void MultiplyTiles(Tiles& tiles, const WeightPanel& w, const TileOfRows* x, size_t second,
                   int n_tiles, bool add, SumBlock* sums, Ahead& ahead) noexcept {
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
    ahead.Step();
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

// As many as there are: up to 32 columns and rows.
template <typename Ahead>
void MultiplyBlock(bool one_column, bool one_row, Tiles& tiles, const WeightPanel& w,
                   const TileOfRows* x, size_t second, int n_tiles, bool add, SumBlock* sums,
                   Ahead& ahead) noexcept {
  const auto multiply = one_column
                            ? (one_row ? MultiplyTiles<1, 1, Ahead> : MultiplyTiles<1, 2, Ahead>)
                            : (one_row ? MultiplyTiles<2, 1, Ahead> : MultiplyTiles<2, 2, Ahead>);
  multiply(tiles, w, x, second, n_tiles, add, sums, ahead);
}

// All rows times a piece. `sums`: one block for each 32 rows, or, where the chunk is the whole sum,
// one for all.
void MultiplyPiece(Tiles& tiles, const TileProduct& all, const Piece& piece,
                   const WeightPanel& panel, SumBlock* sums, UnpackAhead& ahead) noexcept {
  const int n = Least(all.k - piece.begin, kChunk);
  const bool first = piece.begin == 0, last = piece.begin + n == all.k;
  const auto along_k = static_cast<size_t>(TilesOf(all.k));
  for (int row = 0; row < all.n_rows; row += 2 * kTileLanes) {
    const TileOfRows* x =
        all.x + static_cast<size_t>(row / kTileLanes) * along_k + piece.begin / kTileValues;
    MultiplyBlock(all.n_cols - piece.column <= kTileLanes, all.n_rows - row <= kTileLanes, tiles,
                  panel, x, along_k, static_cast<int>(TilesOf(n)), !first, sums, ahead);
    if (last) StoreBlock(all, row, piece.column, *sums);
    if (!first || !last) ++sums;
  }
}

// Up to 256 rows, all columns.
void MultiplyRows(Tiles& tiles, const TileProduct& all) noexcept {
  constexpr int kStripBlocks = kRowsAtOnce / (2 * kTileLanes);
  SumBlock sums[kColumnsAtOnce / kStrip * kStripBlocks];
  WeightPanel panels[2];
  UnpackAhead(all, {}, 1, &panels[0]).Finish();
  const int row_blocks = (all.n_rows + 2 * kTileLanes - 1) / (2 * kTileLanes);
  int current = 0;
  for (Piece piece; piece.Exists(all); current = 1 - current) {
    const Piece next = piece.Next(all);
    const auto steps = static_cast<int>(TilesOf(Least(all.k - piece.begin, kChunk))) * row_blocks;
    UnpackAhead ahead(all, next, steps, &panels[1 - current]);
    MultiplyPiece(tiles, all, piece, panels[current],
                  sums + (piece.column - piece.group) / kStrip * kStripBlocks, ahead);
    ahead.Finish();
    piece = next;
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
  NothingAhead nothing;
  alignas(64) TileOfRows panel[2][kChunkTiles];
  for (; column < end; column += kStrip) {
    const bool one_column = all.n_cols - column <= kTileLanes;
    const float* w = all.w + static_cast<size_t>(begin) * all.w_stride + column;
    PackColumnsOf(w, all.w_stride, Least(all.n_cols - column, kTileLanes), n, panel[0]);
    if (!one_column) {
      PackColumnsOf(w + kTileLanes, all.w_stride,
                    Least(all.n_cols - column - kTileLanes, kTileLanes), n, panel[1]);
    }
    MultiplyBlock(one_row, one_column, tiles, rows, panel[0], kChunkTiles,
                  static_cast<int>(TilesOf(n)), !first, sums, nothing);
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
