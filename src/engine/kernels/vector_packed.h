// Products of many rows, over weights repacked so that a vector holds one k of adjacent columns.
// Included by vector_kernels.h, under its rules; bit for bit what MultiplyTile gives.
//
// MultiplyTile keeps the lanes of one sum side by side and loads (R + C) vectors for R x C fused
// operations, from wherever x and w lie. Here the lanes of a sum are visited one after another:
// lane l is the chain over k = l, l + width, ..., done for R rows x C vectors of columns at once,
// and the finished chains are added by the same tree, elementwise. Weights are then read in the
// order they were packed in, and a row of x, broadcast, meets C vectors: a quarter of the loads.
#pragma once

#include <cstddef>
#include <utility>

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {
namespace {

constexpr int kPackedColumns = kColumnVectors * Vec::kWidth;
// Fewer rows do not repay the packing, shorter sums not the adding up of lanes.
constexpr int kFewestPackedRows = 48;
constexpr int kShortestPackedSum = 96;

constexpr int LogWidth() {
  int log = 0;
  while ((1 << log) < Vec::kWidth) ++log;
  return log;
}

// Terms of one block of k elements that fall in a lane.
constexpr int LaneTerms(int k, int lane) {
  return (k - lane + Vec::kWidth - 1) / Vec::kWidth;
}

// w [kColumns, k] becomes, lane after lane in the order of kLaneOrder and term after term,
// kColumns adjacent floats.
template <int kColumns>
void PackColumns(const float* w, size_t w_stride, int k, float* packed) {
  float* lanes[Vec::kWidth];
  for (int lane : kLaneOrder) {
    lanes[lane] = packed;
    packed += static_cast<size_t>(LaneTerms(k, lane)) * kColumns;
  }
  // Eight rows of w at a time: more, a power of two apart, would push each other out of the cache.
  constexpr int kGroup = 8;
  for (int column = 0; column < kColumns; column += kGroup) {
    const float* rows = w + static_cast<size_t>(column) * w_stride;
    int i = 0;
    for (; i + 4 <= k; i += 4) {
      float* to[4];
      for (int j = 0; j < 4; ++j) {
        to[j] = lanes[(i + j) % Vec::kWidth] + (i + j) / Vec::kWidth * kColumns + column;
      }
      Transpose4(rows + i, w_stride, to[0], to[1], to[2], to[3]);
      Transpose4(rows + 4 * w_stride + i, w_stride, to[0] + 4, to[1] + 4, to[2] + 4, to[3] + 4);
    }
    for (; i < k; ++i) {
      float* to = lanes[i % Vec::kWidth] + i / Vec::kWidth * kColumns + column;
      for (int j = 0; j < kGroup; ++j) to[j] = rows[static_cast<size_t>(j) * w_stride + i];
    }
  }
}

// R rows x C vectors of packed columns over one block.
template <int R, int C>
void MultiplyPackedTile(const float* x, size_t x_stride, const float* packed, float* out,
                        size_t out_stride, int k, bool add) {
  // Sums of 1, 2, 4, ... lanes that wait for their other half: a binary counter.
  Vec waiting[LogWidth()][R][C];
  for (int visit = 0; visit < Vec::kWidth; ++visit) {
    const int lane = kLaneOrder[visit];
    const int n_terms = LaneTerms(k, lane);
    Vec sums[R][C];
    for (auto& row : sums) {
      for (Vec& sum : row) sum = Vec::Zero();
    }
    const float* terms = x + lane;
    for (int i = 0; i < n_terms; ++i) {
      Vec columns[C];
      for (int c = 0; c < C; ++c) columns[c] = Vec::Load(packed + c * Vec::kWidth);
      packed += C * Vec::kWidth;
      for (int r = 0; r < R; ++r) {
        const Vec row = Vec::Set(terms[static_cast<size_t>(r) * x_stride]);
        for (int c = 0; c < C; ++c) sums[r][c] = Fma(row, columns[c], sums[r][c]);
      }
      terms += Vec::kWidth;
    }
    if (lane >= k % Vec::kWidth && k % Vec::kWidth != 0) {
      // The term 0 * 0 of masked tails: it turns a sum of -0 into 0.
      for (auto& row : sums) {
        for (Vec& sum : row) sum = Fma(Vec::Zero(), Vec::Zero(), sum);
      }
    }
    int level = 0;
    for (int rest = visit; rest % 2 == 1; rest /= 2, ++level) {
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sums[r][c] = waiting[level][r][c] + sums[r][c];
      }
    }
    if (level < LogWidth()) {
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) waiting[level][r][c] = sums[r][c];
      }
      continue;
    }
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) {
        float* place = out + static_cast<size_t>(r) * out_stride + c * Vec::kWidth;
        const Vec sum = add ? Vec::Load(place) + sums[r][c] : sums[r][c];
        sum.StoreFirst(place, Vec::kWidth);
      }
    }
  }
}

template <int C, int... I>
void MultiplyPackedRows(const float* x, size_t x_stride, const float* packed, float* out,
                        size_t out_stride, int n_rows, int k, bool add,
                        std::integer_sequence<int, I...>) {
  using Tile = void (*)(const float*, size_t, const float*, float*, size_t, int, bool);
  constexpr Tile kEdges[] = {MultiplyPackedTile<I + 1, C>...};
  for (int row = 0; row < n_rows; row += kColumnRows) {
    const int rows = n_rows - row < kColumnRows ? n_rows - row : kColumnRows;
    kEdges[rows - 1](x + static_cast<size_t>(row) * x_stride, x_stride, packed,
                     out + static_cast<size_t>(row) * out_stride, out_stride, k, add);
  }
}

struct PackedProduct {
  const float* x;
  size_t x_stride;
  const float* w;
  size_t w_stride;
  float* out;
  size_t out_stride;
  int n_rows;
  int k;
  bool add;
};

// Columns [column, column + C vectors) of one block.
template <int C>
void MultiplyPanel(const PackedProduct& product, int column) {
  alignas(64) float packed[static_cast<size_t>(kSumBlock) * C * Vec::kWidth];
  PackColumns<C * Vec::kWidth>(product.w + static_cast<size_t>(column) * product.w_stride,
                               product.w_stride, product.k, packed);
  MultiplyPackedRows<C>(product.x, product.x_stride, packed, product.out + column,
                        product.out_stride, product.n_rows, product.k, product.add,
                        std::make_integer_sequence<int, kColumnRows>{});
}

// Computes the leading columns that fill whole vectors and returns how many.
int MultiplyPacked(const PackedProduct& product, int n_cols) {
  int column = 0;
  for (; column + kPackedColumns <= n_cols; column += kPackedColumns) {
    MultiplyPanel<kColumnVectors>(product, column);
  }
  for (; column + Vec::kWidth <= n_cols; column += Vec::kWidth) MultiplyPanel<1>(product, column);
  return column;
}

}  // namespace
}  // namespace moescope::engine
