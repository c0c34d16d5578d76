// Stored weights and rows of activations on their way to tiles of bfloat16. Included only by this
// folder's kernels.cpp, after vector.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"
#include "engine/kernels/tile_rows.h"
#include "engine/kernels/vector_dequantise.h"

namespace moescope::engine {
namespace {

// The left side of a tile product: 16 columns of weights (in attention, rows), each 32 values of k.
struct TileOfWeights {
  uint16_t values[kTileLanes][kTileValues];
};
static_assert(sizeof(TileOfWeights) == 1024);

MOESCOPE_INLINE __m256i ToBFloat(Vec v) {
  return (__m256i)_mm512_cvtneps_pbh(v.v);
}

// Values of one column from `value` on, in successive tiles. Blocks are taken apart as for floats;
// only where values go differs, and that each is rounded once more.
struct BFloatPlace : FloatPlace {
  uint16_t* column;  // in the first tile
  int value;

  MOESCOPE_INLINE BFloatPlace(uint16_t* in_first_tile, int first)
      : FloatPlace{nullptr}, column(in_first_tile), value(first) {}
  MOESCOPE_INLINE BFloatPlace operator+(int n) const { return {column, value + n}; }
  MOESCOPE_INLINE void PutFloats(Vec floats) const {
    constexpr int kTileHalves = sizeof(TileOfWeights) / sizeof(uint16_t);
    uint16_t* place = column + value / kTileValues * kTileHalves + value % kTileValues;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(place), ToBFloat(floats));
  }
  MOESCOPE_INLINE void Put(Bytes codes, Vec step) const {
    PutFloats(step * Vec::FromBytes<0>(codes));
  }
  MOESCOPE_INLINE void Put(Bytes codes, Vec step, Vec offset) const {
    PutFloats(step * Vec::FromBytes<0>(codes) + offset);
  }
};

// Unpacks n values from the begin-th on of a stored row into one column of successive tiles; the
// last tile is filled up with zeros. Requires: begin a multiple of the type's block and of 32.
using Unpack = void (*)(const std::byte* row, int begin, int n, uint16_t* column) noexcept;

struct StoredType {
  Unpack unpack;
  int block_elements, block_bytes;
};

template <DType kType, typename Block>
void UnpackQuantised(const std::byte* row, int begin, int n, uint16_t* column) noexcept {
  constexpr int kElements = Info(kType).block_elements;
  const auto* blocks = reinterpret_cast<const Block*>(row) + begin / kElements;
  for (int i = 0; i < n; i += kElements) TakeApart(*blocks++, BFloatPlace(column, i));
}

// `load` takes sixteen values from an address.
template <int kBytes, typename F>
MOESCOPE_INLINE void UnpackFloats(const std::byte* row, int begin, int n, uint16_t* column,
                                  F load) {
  const std::byte* from = row + static_cast<size_t>(begin) * kBytes;
  const BFloatPlace to(column, 0);
  int i = 0;
  for (; i + Vec::kWidth <= n; i += Vec::kWidth) (to + i).PutFloats(load(from + i * kBytes));
  for (; i < TilesOf(n) * kTileValues; i += Vec::kWidth) {
    alignas(64) std::byte rest[Vec::kWidth * kBytes] = {};
    if (i < n) std::memcpy(rest, from + i * kBytes, static_cast<size_t>(n - i) * kBytes);
    (to + i).PutFloats(load(rest));
  }
}
void UnpackF32(const std::byte* row, int begin, int n, uint16_t* column) noexcept {
  UnpackFloats<4>(
      row, begin, n, column, [](const std::byte* p) __attribute__((always_inline)) {
        return Vec::Load(reinterpret_cast<const float*>(p));
      });
}
void UnpackF16(const std::byte* row, int begin, int n, uint16_t* column) noexcept {
  UnpackFloats<2>(
      row, begin, n, column, [](const std::byte* p) __attribute__((always_inline)) {
        return Vec::LoadHalf(reinterpret_cast<const uint16_t*>(p));
      });
}
void UnpackBF16(const std::byte* row, int begin, int n, uint16_t* column) noexcept {
  UnpackFloats<2>(
      row, begin, n, column, [](const std::byte* p) __attribute__((always_inline)) {
        return Vec::LoadBFloat(reinterpret_cast<const uint16_t*>(p));
      });
}

StoredType StoredTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {UnpackF32, 1, 4};
    case DType::kF16:
      return {UnpackF16, 1, 2};
    case DType::kBF16:
      return {UnpackBF16, 1, 2};
#define MOESCOPE_CASE(type, ...)                                                \
  case DType::k##type: {                                                        \
    constexpr DTypeInfo kInfo = Info(DType::k##type);                           \
    return {UnpackQuantised<DType::k##type, Block##type>, kInfo.block_elements, \
            kInfo.block_bytes};                                                 \
  }
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
  }
  return {};
}

// Rows and columns of 16 x 16 words of 32 bits change places.
MOESCOPE_INLINE void Transpose16(__m512i (&rows)[16]) {
  __m512i pairs[16], fours[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // Quarter q of fours[4 j + c]: column 4 q + c of rows 4 j to 4 j + 3.
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    __m512 of[4];
    for (int j = 0; j < 4; ++j) of[j] = _mm512_castsi512_ps(fours[4 * j + c]);
    const __m512 low_01 = _mm512_shuffle_f32x4(of[0], of[1], 0x44);
    const __m512 high_01 = _mm512_shuffle_f32x4(of[0], of[1], 0xee);
    const __m512 low_23 = _mm512_shuffle_f32x4(of[2], of[3], 0x44);
    const __m512 high_23 = _mm512_shuffle_f32x4(of[2], of[3], 0xee);
    rows[c] = _mm512_castps_si512(_mm512_shuffle_f32x4(low_01, low_23, 0x88));
    rows[4 + c] = _mm512_castps_si512(_mm512_shuffle_f32x4(low_01, low_23, 0xdd));
    rows[8 + c] = _mm512_castps_si512(_mm512_shuffle_f32x4(high_01, high_23, 0x88));
    rows[12 + c] = _mm512_castps_si512(_mm512_shuffle_f32x4(high_01, high_23, 0xdd));
  }
}

// One tile: up to 16 rows, up to 32 values of k.
void PackTile(const float* x, size_t x_stride, int n_rows, int n_values, TileOfRows* out) {
  const int first = n_values < Vec::kWidth ? n_values : Vec::kWidth;
  __m512i rows[kTileLanes];
  for (int r = 0; r < kTileLanes; ++r) {
    Vec low = Vec::Zero(), high = Vec::Zero();
    if (r < n_rows) {
      const float* row = x + static_cast<size_t>(r) * x_stride;
      low = Vec::LoadFirst(row, first);
      high = Vec::LoadFirst(row + first, n_values - first);
    }
    rows[r] = _mm512_inserti64x4(_mm512_castsi256_si512(ToBFloat(low)), ToBFloat(high), 1);
  }
  Transpose16(rows);
  for (int i = 0; i < kTileLanes; ++i) _mm512_storeu_si512(out->pairs[i], rows[i]);
}

// Up to 16 columns of n values of k of w [k, ...] to successive tiles: pairs lie one above the
// other.
void PackColumnsOf(const float* w, size_t w_stride, int n_cols, int n, TileOfRows* out) noexcept {
  auto* pairs = reinterpret_cast<__m512i*>(out);
  for (int i = 0; i < TilesOf(n) * kTileValues; i += 2) {
    const float* row = w + static_cast<size_t>(i) * w_stride;
    const Vec even = i < n ? Vec::LoadFirst(row, n_cols) : Vec::Zero();
    const Vec odd = i + 1 < n ? Vec::LoadFirst(row + w_stride, n_cols) : Vec::Zero();
    const __m512i low = _mm512_cvtepu16_epi32(ToBFloat(even));
    const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(ToBFloat(odd)), 16);
    _mm512_storeu_si512(pairs++, _mm512_or_si512(low, high));
  }
}

void PackRows(const float* x, size_t x_stride, TileOfRows* out, int n_rows, int k) noexcept {
  for (int row = 0; row < n_rows; row += kTileLanes) {
    const int rows = n_rows - row < kTileLanes ? n_rows - row : kTileLanes;
    for (int i = 0; i < k; i += kTileValues) {
      const int values = k - i < kTileValues ? k - i : kTileValues;
      PackTile(x + static_cast<size_t>(row) * x_stride + i, x_stride, rows, values, out++);
    }
  }
}

}  // namespace
}  // namespace moescope::engine
