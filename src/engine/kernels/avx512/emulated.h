// AVX-512 on machines without it, for tests: SIMDe, and in plain loops the few instructions that
// its Debian 12 version (0.7.4) lacks. Included instead of <immintrin.h>.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/tensor/dtype.h"

using __mmask8 = uint8_t;
using __mmask16 = uint16_t;

namespace moescope::engine {
namespace {

template <int N>
struct Lanes {
  float f[N];
};

template <int N, typename V>
Lanes<N> ToLanes(V v) {
  static_assert(sizeof(V) == N * sizeof(float));
  Lanes<N> lanes;
  std::memcpy(&lanes, &v, sizeof(v));
  return lanes;
}

template <typename V, typename T>
V FromLanes(const T& lanes) {
  V v;
  static_assert(sizeof(v) == sizeof(lanes));
  std::memcpy(&v, &lanes, sizeof(v));
  return v;
}

template <int N>
Lanes<N> LoadMasked(Lanes<N> rest, uint32_t mask, const void* p) {
  for (int i = 0; i < N; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(rest.f + i, static_cast<const float*>(p) + i, 4);
  }
  return rest;
}

template <int N>
void StoreMasked(void* p, uint32_t mask, Lanes<N> lanes) {
  for (int i = 0; i < N; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(static_cast<float*>(p) + i, lanes.f + i, 4);
  }
}

// Widens 16 stored values of type From by `convert`, which gives the bits of a lane.
template <typename V, typename From, typename F>
V Widen(const void* p, F convert) {
  From stored[16];
  std::memcpy(stored, p, sizeof(stored));
  uint32_t bits[16];
  for (int i = 0; i < 16; ++i) bits[i] = convert(stored[i]);
  return FromLanes<V>(bits);
}

__m512 EmulatedMaskLoad(__m512 rest, uint32_t mask, const void* p) {
  return FromLanes<__m512>(LoadMasked(ToLanes<16>(rest), mask, p));
}
__m128 EmulatedMaskLoad(__m128 rest, uint32_t mask, const void* p) {
  return FromLanes<__m128>(LoadMasked(ToLanes<4>(rest), mask, p));
}
void EmulatedMaskStore(void* p, uint32_t mask, __m512 v) {
  StoreMasked(p, mask, ToLanes<16>(v));
}
void EmulatedMaskStore(void* p, uint32_t mask, __m128 v) {
  StoreMasked(p, mask, ToLanes<4>(v));
}

__m512 EmulatedHalfToFloat(__m256i v) {
  return Widen<__m512, uint16_t>(
      &v, [](uint16_t half) { return std::bit_cast<uint32_t>(F16ToF32(half)); });
}
__m512i EmulatedWiden16(__m256i v) {
  return Widen<__m512i, uint16_t>(&v, [](uint16_t value) { return uint32_t{value}; });
}
__m512i EmulatedWiden8(__m128i v) {
  return Widen<__m512i, int8_t>(&v, [](int8_t value) { return static_cast<uint32_t>(value); });
}
__m512 EmulatedIntToFloat(__m512i v) {
  return Widen<__m512, int32_t>(
      &v, [](int32_t value) { return std::bit_cast<uint32_t>(static_cast<float>(value)); });
}
// Quarter i of the result: quarters `control` bits 2i of a (the lower two) or b.
__m512 EmulatedShuffleQuarters(__m512 a, __m512 b, int control) {
  const Lanes<16> from[2] = {ToLanes<16>(a), ToLanes<16>(b)};
  Lanes<16> out;
  for (int i = 0; i < 4; ++i) {
    const int quarter = control >> (2 * i) & 3;
    std::memcpy(out.f + 4 * i, from[i / 2].f + 4 * quarter, 4 * sizeof(float));
  }
  return FromLanes<__m512>(out);
}
__m512i EmulatedShiftRightSigned(__m512i v, int n) {
  Lanes<16> lanes;
  std::memcpy(&lanes, &v, sizeof(v));
  for (float& lane : lanes.f) lane = std::bit_cast<float>(std::bit_cast<int32_t>(lane) >> n);
  return FromLanes<__m512i>(lanes);
}
// SIMDe rounds the product where the machine cannot fuse.
__m512 EmulatedFma(__m512 a, __m512 b, __m512 c) {
  const Lanes<16> x = ToLanes<16>(a), y = ToLanes<16>(b), z = ToLanes<16>(c);
  Lanes<16> out;
  for (int i = 0; i < 16; ++i) out.f[i] = std::fma(x.f[i], y.f[i], z.f[i]);
  return FromLanes<__m512>(out);
}
float EmulatedFirstLane(__m512 v) {
  return ToLanes<16>(v).f[0];
}
float EmulatedMaxLane(__m512 v) {
  Lanes<16> lanes = ToLanes<16>(v);
  return *std::max_element(lanes.f, lanes.f + 16);
}

}  // namespace
}  // namespace moescope::engine

#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#define _mm512_shuffle_f32x4(a, b, control) EmulatedShuffleQuarters(a, b, control)
#define _mm512_srai_epi32(v, n) EmulatedShiftRightSigned(v, n)
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps(a, b, c) EmulatedFma(a, b, c)
#define _mm512_cvtss_f32(v) EmulatedFirstLane(v)
#define _mm512_mask_loadu_ps(rest, mask, p) EmulatedMaskLoad(rest, mask, p)
#define _mm_maskz_loadu_ps(mask, p) EmulatedMaskLoad(_mm_setzero_ps(), mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) EmulatedMaskStore(p, mask, v)
#define _mm_mask_storeu_ps(p, mask, v) EmulatedMaskStore(p, mask, v)
#define _mm512_cvtph_ps(v) EmulatedHalfToFloat(v)
#define _mm512_cvtepu16_epi32(v) EmulatedWiden16(v)
#define _mm512_cvtepi8_epi32(v) EmulatedWiden8(v)
#define _mm512_cvtepi32_ps(v) EmulatedIntToFloat(v)
#define _mm512_reduce_max_ps(v) EmulatedMaxLane(v)
// SIMDe's alias takes the arguments of the masked form.
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#define _cvtsh_ss(bits) F16ToF32(bits)
