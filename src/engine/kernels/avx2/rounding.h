// Rounding of activations. Included only by this folder's kernels.cpp.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/rounded_block.h"

namespace moescope::engine {
namespace {

// As scalar/kernels.cpp defines it.
inline void RoundBlock(const float* x, RoundedBlock& out) {
  __m256 values[4];
  __m256i largest = _mm256_setzero_si256();
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  for (int i = 0; i < 4; ++i) {
    values[i] = _mm256_loadu_ps(x + 8 * i);
    largest =
        _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(values[i]), magnitude));
  }
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  const RoundingScale rounding = RoundingScaleOf(static_cast<uint32_t>(_mm_cvtsi128_si32(four)));
  const __m256 inverse = _mm256_set1_ps(rounding.inverse);
  // Products of NaN become codes, too, so those of a block without a scale are set to 0.
  const __m256i keep = _mm256_set1_epi32(rounding.inverse != 0 ? -1 : 0);
  __m256i whole[4];
  for (int i = 0; i < 4; ++i) {
    whole[i] = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(values[i], inverse)), keep);
  }
  __m256i codes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
                                     _mm256_packs_epi32(whole[2], whole[3]));
  codes = _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.codes), codes);
  const __m256i quarters =
      _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
  alignas(32) int32_t sums[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums), quarters);
  const int first = sums[0] + sums[1] + sums[2] + sums[3];
  const int second = sums[4] + sums[5] + sums[6] + sums[7];
  out.scale = rounding.scale;
  out.scaled_sum = rounding.scale * static_cast<float>(first + second);
  out.sums[0] = static_cast<int16_t>(first);
  out.sums[1] = static_cast<int16_t>(second);
}

void RoundActivations(const float* x, size_t x_stride, RoundedBlock* out, int n_rows,
                      int k) noexcept {
  for (int row = 0; row < n_rows; ++row) {
    const float* values = x + static_cast<size_t>(row) * x_stride;
    for (int i = 0; i < k; i += kRoundedValues) RoundBlock(values + i, *out++);
  }
}

}  // namespace
}  // namespace moescope::engine
