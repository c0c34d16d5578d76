// Eight floats and their tiles, for vector_kernels.h. Included only by this folder's kernels.cpp.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/avx2/bytes.h"

namespace moescope::engine {
namespace {

struct Vec {
  static constexpr int kWidth = 8;
  __m256 v;

  static __m256i First(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vec Zero() { return {_mm256_setzero_ps()}; }
  static Vec Set(float value) { return {_mm256_set1_ps(value)}; }
  static Vec Load(const float* p) { return {_mm256_loadu_ps(p)}; }
  // The first n lanes from memory, `rest` in the others; nothing is read beyond them.
  static Vec LoadFirst(const float* p, int n, float rest = 0) {
    if (n == kWidth) return Load(p);
    __m256i mask = First(n);
    return {_mm256_blendv_ps(_mm256_set1_ps(rest), _mm256_maskload_ps(p, mask),
                             _mm256_castsi256_ps(mask))};
  }
  static Vec LoadHalf(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static Vec LoadBFloat(const uint16_t* p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
  }
  // Eight signed bytes from the first-th on, 0 or 8.
  template <int First>
  static Vec FromBytes(Bytes bytes) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes.v, First)))};
  }
  void Store(float* p) const { _mm256_storeu_ps(p, v); }
  void StoreFirst(float* p, int n) const {
    if (n == kWidth) {
      _mm256_storeu_ps(p, v);
    } else {
      _mm256_maskstore_ps(p, First(n), v);
    }
  }

  // Lanes are added in the order of SumPairs and SumHalves below.
  float Sum() const;
  float MaxLane() const {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
};

// As F16ToF32, which is a call. A signalling NaN becomes a quiet one.
float HalfToFloat(uint16_t bits) {
  return _cvtsh_ss(bits);
}

Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
Vec Fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
// With a NaN on either side the second operand is the result: callers put data first.
Vec Max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
Vec RoundToInt(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// Requires: n whole, -126 <= n <= 127, and a normal result.
Vec ScaleByPowerOfTwo(Vec a, Vec n) {
  __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.v), exponent))};
}
// `a`, but 0 where x < limit; NaN in x stays.
Vec ZeroWhereBelow(Vec a, Vec x, Vec limit) {
  __m256 kept = _mm256_andnot_ps(_mm256_cmp_ps(x.v, limit.v, _CMP_LT_OQ), a.v);
  return {_mm256_blendv_ps(kept, x.v, _mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q))};
}

// Twelve accumulators, three columns and a row: sixteen registers.
constexpr int kTileRows = 4;
constexpr int kTileColumns = 3;
constexpr int kColumnRows = 6;
constexpr int kColumnVectors = 2;

// In each half of four lanes: (0 + 2) + (1 + 3) of a, of b, of c, of d.
__m256 SumPairs(__m256 a, __m256 b, __m256 c, __m256 d) {
  __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
}

__m128 SumHalves(__m256 a) {
  return _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
}

// Lanes in the order in which SumPairs and SumHalves add them.
constexpr int kLaneOrder[Vec::kWidth] = {0, 2, 1, 3, 4, 6, 5, 7};

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
  __m256 zero = _mm256_setzero_ps();
  return _mm_cvtss_f32(SumHalves(SumPairs(v, zero, zero, zero)));
}

// Inlined always: else the accumulators go through memory.
template <int R, int C>
inline __attribute__((always_inline)) void StoreSums(const Vec (&sums)[R][C], float* out,
                                                     size_t stride, bool add) {
  const __m256 zero = _mm256_setzero_ps();
  const __m128i columns = _mm_cmpgt_epi32(_mm_set1_epi32(C), _mm_setr_epi32(0, 1, 2, 3));
  for (int r = 0; r < R; ++r) {
    float* place = out + r * stride;
    __m128 sum = SumHalves(SumPairs(sums[r][0].v, C > 1 ? sums[r][C > 1 ? 1 : 0].v : zero,
                                    C > 2 ? sums[r][C > 2 ? 2 : 0].v : zero, zero));
    if (add) sum = _mm_add_ps(_mm_maskload_ps(place, columns), sum);
    _mm_maskstore_ps(place, columns, sum);
  }
}

}  // namespace
}  // namespace moescope::engine
