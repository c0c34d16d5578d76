// Sixteen floats and their tiles, for vector_kernels.h. Included only by this folder's kernels.cpp.
#pragma once

#if defined(MOESCOPE_EMULATE_AVX512)
#include "engine/kernels/avx512/emulated.h"
#else
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "engine/kernels/avx2/bytes.h"

namespace moescope::engine {
namespace {

struct Vec {
  static constexpr int kWidth = 16;
  __m512 v;

  static __mmask16 First(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static Vec Zero() { return {_mm512_setzero_ps()}; }
  static Vec Set(float value) { return {_mm512_set1_ps(value)}; }
  static Vec Load(const float* p) { return {_mm512_loadu_ps(p)}; }
  // The first n lanes from memory, `rest` in the others; nothing is read beyond them.
  static Vec LoadFirst(const float* p, int n, float rest = 0) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(rest), First(n), p)};
  }
  static Vec LoadHalf(const uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static Vec LoadBFloat(const uint16_t* p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
  }
  // Sixteen signed bytes.
  template <int First>
  static Vec FromBytes(Bytes bytes) {
    static_assert(First == 0);
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes.v))};
  }
  void Store(float* p) const { _mm512_storeu_ps(p, v); }
  void StoreFirst(float* p, int n) const { _mm512_mask_storeu_ps(p, First(n), v); }

  // Lanes are added in the order of SumPairs and SumQuarters below.
  float Sum() const;
  float MaxLane() const { return _mm512_reduce_max_ps(v); }
};

// As F16ToF32, which is a call. A signalling NaN becomes a quiet one.
float HalfToFloat(uint16_t bits) {
  return _cvtsh_ss(bits);
}

Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
Vec Fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// With a NaN on either side the second operand is the result: callers put data first.
Vec Max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
Vec RoundToInt(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
Vec ScaleByPowerOfTwo(Vec a, Vec n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}
// `a`, but 0 where x < limit; NaN in x stays.
Vec ZeroWhereBelow(Vec a, Vec x, Vec limit) {
  __mmask16 below = _mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ);
  __mmask16 invalid = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  return {_mm512_mask_mov_ps(_mm512_mask_mov_ps(a.v, below, _mm512_setzero_ps()), invalid, x.v)};
}

// Twenty-four accumulators, four columns and a row.
constexpr int kTileRows = 6;
constexpr int kTileColumns = 4;
constexpr int kColumnRows = 6;
constexpr int kColumnVectors = 4;

// In each quarter of four lanes: (0 + 2) + (1 + 3) of a, of b, of c, of d.
__m512 SumPairs(__m512 a, __m512 b, __m512 c, __m512 d) {
  __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}

// Quarters added as (0 + 2) + (1 + 3): of p in the first quarter of the result, of q in the second,
// ...
__m512 SumQuarters(__m512 p, __m512 q, __m512 r, __m512 s) {
  __m512 pq = _mm512_add_ps(_mm512_shuffle_f32x4(p, q, 0x44), _mm512_shuffle_f32x4(p, q, 0xee));
  __m512 rs = _mm512_add_ps(_mm512_shuffle_f32x4(r, s, 0x44), _mm512_shuffle_f32x4(r, s, 0xee));
  return _mm512_add_ps(_mm512_shuffle_f32x4(pq, rs, 0x88), _mm512_shuffle_f32x4(pq, rs, 0xdd));
}

// Lanes in the order in which SumPairs and SumQuarters add them.
constexpr int kLaneOrder[Vec::kWidth] = {0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15};

// Element j of four rows, `stride` apart, goes to the four floats at to_j.
void Transpose4(const float* rows, size_t stride, float* to_0, float* to_1, float* to_2,
                float* to_3) {
  __m128 a = _mm_loadu_ps(rows);
  __m128 b = _mm_loadu_ps(rows + stride);
  __m128 c = _mm_loadu_ps(rows + 2 * stride);
  __m128 d = _mm_loadu_ps(rows + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to_0, a);
  _mm_storeu_ps(to_1, b);
  _mm_storeu_ps(to_2, c);
  _mm_storeu_ps(to_3, d);
}

float Vec::Sum() const {
  __m512 zero = _mm512_setzero_ps();
  return _mm512_cvtss_f32(SumQuarters(SumPairs(v, zero, zero, zero), zero, zero, zero));
}

// Inlined always: else the accumulators go through memory.
template <int R, int C>
inline __attribute__((always_inline)) void StoreSums(const Vec (&sums)[R][C], float* out,
                                                     size_t stride, bool add) {
  const __m512 zero = _mm512_setzero_ps();
  constexpr int kGroup = 4;  // rows whose sums fill one vector
  constexpr int kGroups = (kTileRows + kGroup - 1) / kGroup;
  __m512 rows[kGroups * kGroup];
  for (__m512& row : rows) row = zero;
  for (int r = 0; r < R; ++r) {
    rows[r] =
        SumPairs(sums[r][0].v, C > 1 ? sums[r][C > 1 ? 1 : 0].v : zero,
                 C > 2 ? sums[r][C > 2 ? 2 : 0].v : zero, C > 3 ? sums[r][C > 3 ? 3 : 0].v : zero);
  }
  constexpr __mmask8 kColumns = (1 << C) - 1;
  for (int first = 0; first < R; first += kGroup) {
    __m512 all = SumQuarters(rows[first], rows[first + 1], rows[first + 2], rows[first + 3]);
    const __m128 parts[kGroup] = {_mm512_castps512_ps128(all), _mm512_extractf32x4_ps(all, 1),
                                  _mm512_extractf32x4_ps(all, 2), _mm512_extractf32x4_ps(all, 3)};
    for (int r = first; r < R && r < first + kGroup; ++r) {
      float* place = out + r * stride;
      __m128 sum = parts[r - first];
      if (add) sum = _mm_add_ps(_mm_maskz_loadu_ps(kColumns, place), sum);
      _mm_mask_storeu_ps(place, kColumns, sum);
    }
  }
}

}  // namespace
}  // namespace moescope::engine
