// Sixteen columns of whole numbers and their sums, for vector_rounded.h: dot products of four
// bytes, added in 32 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/block_codes.h"
#include "engine/kernels/avx512/vector.h"
#include "engine/kernels/rounded_block.h"

namespace moescope::engine {
namespace {

constexpr bool kLevelWidensBytes = false;
// Sixteen sums in thirty-two registers; eight, with half the rows, are 6 % slower.
constexpr int kGroups = 2;
constexpr int kRoundedRows = 8;

struct Columns {
  static constexpr int kLanes = 16;
  __m512i v;

  static Columns Set(int byte) { return {_mm512_set1_epi8(static_cast<char>(byte))}; }
  static Columns SetWord(uint32_t bits) { return {_mm512_set1_epi32(static_cast<int32_t>(bits))}; }
  static Columns Repeat16(const void* p) {
    return {_mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
  }
  static Columns FromFourCodes(const void* p) {
    int32_t codes;
    __builtin_memcpy(&codes, p, sizeof(codes));
    return {_mm512_set1_epi32(codes)};
  }
  static Columns GatherWords(const uint8_t* p, const size_t* offsets) {
    alignas(64) int32_t words[kLanes];
    for (int i = 0; i < kLanes; ++i) __builtin_memcpy(words + i, p + offsets[i], sizeof(int32_t));
    return {_mm512_load_si512(words)};
  }
  static __m128i EightHalves(const uint8_t* p, const size_t* offsets) {
    auto half = [&](int i) {
      int16_t bits;
      __builtin_memcpy(&bits, p + offsets[i], sizeof(bits));
      return bits;
    };
    return _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7));
  }
  static Vec GatherHalves(const uint8_t* p, const size_t* offsets) {
    const __m128i low = EightHalves(p, offsets), high = EightHalves(p, offsets + 8);
    return {_mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1))};
  }
  // Byte i of each lane, four times, or widened with its sign.
  Columns RepeatByte(int i) const {
    const __m512i first = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    return {_mm512_shuffle_epi8(v, _mm512_add_epi8(first, _mm512_set1_epi8(static_cast<char>(i))))};
  }
  Columns SignedByte(int i) const {
    return {_mm512_srai_epi32(_mm512_slli_epi32(v, static_cast<unsigned>(24 - 8 * i)), 24)};
  }
  Vec ToFloat() const { return {_mm512_cvtepi32_ps(v)}; }
  static void Prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
  // Register i: bytes 4 i to 4 i + 3 of each column's sixteen.
  static void TransposeCodes(const uint8_t* bytes, const size_t* offsets, Columns (&out)[4]) {
    __m512i rows[4];
    for (int i = 0; i < 4; ++i) {
      auto load = [&](int column) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + offsets[column]));
      };
      const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(i)), load(i + 4), 1);
      const __m256i high =
          _mm256_inserti128_si256(_mm256_castsi128_si256(load(i + 8)), load(i + 12), 1);
      rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    const __m512i low_01 = _mm512_unpacklo_epi32(rows[0], rows[1]);
    const __m512i low_23 = _mm512_unpacklo_epi32(rows[2], rows[3]);
    const __m512i high_01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
    const __m512i high_23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
    out[0].v = _mm512_unpacklo_epi64(low_01, low_23);
    out[1].v = _mm512_unpackhi_epi64(low_01, low_23);
    out[2].v = _mm512_unpacklo_epi64(high_01, high_23);
    out[3].v = _mm512_unpackhi_epi64(high_01, high_23);
  }
};

inline Columns operator&(Columns a, Columns b) {
  return {_mm512_and_si512(a.v, b.v)};
}
inline Columns operator&(Columns a, uint32_t bits) {
  return a & Columns::SetWord(bits);
}
inline Columns operator|(Columns a, Columns b) {
  return {_mm512_or_si512(a.v, b.v)};
}
inline Columns operator-(Columns a, Columns b) {
  return {_mm512_sub_epi8(a.v, b.v)};
}
inline Columns operator>>(Columns a, int n) {
  return {_mm512_srli_epi32(a.v, static_cast<unsigned>(n))};
}
inline Columns operator<<(Columns a, int n) {
  return {_mm512_slli_epi32(a.v, static_cast<unsigned>(n))};
}
// 0xff in bytes that have a bit of `mask`, a single one, else 0.
inline Columns HasBit(Columns a, Columns mask) {
  return {_mm512_movm_epi8(_mm512_test_epi8_mask(a.v, mask.v))};
}
// Entries 0-15 of `table`, the same in every quarter.
inline Columns Lookup(Columns table, Columns indices) {
  return {_mm512_shuffle_epi8(table.v, indices.v)};
}

// Never called: this level does not widen.
inline void WidenCodes(Columns, Columns&, Columns&) {}
template <typename Spec, int R>
struct WideRows {
  void Widen(const RoundedBlock*, size_t, int) {}
};

// What the sums of a part begin with, since codes have Spec::kZero added: minus that times the sum
// of the row's codes.
template <typename Spec>
inline __attribute__((always_inline)) Columns ZeroCorrection(const RoundedBlock& x, int part) {
  if constexpr (Spec::kZero == 0) return {_mm512_setzero_si512()};
  // The sums of the codes' halves are a pair of 16 bits: minus zero times either or both.
  constexpr int kOther = Spec::kParts == 1 ? -Spec::kZero : 0;
  const int16_t factor_0 = part == 0 ? -Spec::kZero : kOther;
  const int16_t factor_1 = part == 1 ? -Spec::kZero : kOther;
  const __m512i factors = _mm512_set1_epi32(static_cast<int32_t>(
      static_cast<uint16_t>(factor_0) | uint32_t{static_cast<uint16_t>(factor_1)} << 16));
  return {_mm512_madd_epi16(Columns::FromFourCodes(x.sums).v, factors)};
}

// sum + sixteen codes of each column times sixteen of a row.
template <typename Spec, typename Sixteen>
inline __attribute__((always_inline)) Columns AddProducts(Columns sum, const Sixteen& codes,
                                                          const int8_t* x) {
  for (int i = 0; i < 4; ++i) {
    const Columns weights = codes.v[i] - Columns::Set(-Spec::kZero);
    sum.v = _mm512_dpbusd_epi32(sum.v, weights.v, Columns::FromFourCodes(x + 4 * i).v);
  }
  return sum;
}

// Whole sums of one part of a block, of R rows and all groups.
template <typename Spec, int R, typename Weights>
inline __attribute__((always_inline)) void SumPart(const RoundedBlock* x, size_t x_stride,
                                                   const WideRows<Spec, R>&, int, int part,
                                                   const Weights& w, Columns (&sums)[R][kGroups]) {
  for (int r = 0; r < R; ++r) {
    const Columns start = ZeroCorrection<Spec>(x[static_cast<size_t>(r) * x_stride], part);
    for (int c = 0; c < kGroups; ++c) sums[r][c] = start;
  }
  const int first = part * Spec::kPartVectors;
  for (int i = first; i < first + Spec::kPartVectors; ++i) {
    for (int r = 0; r < R; ++r) {
      const int8_t* codes = x[static_cast<size_t>(r) * x_stride].codes;
      const __m512i four = Columns::FromFourCodes(codes + 4 * i).v;
      for (int c = 0; c < kGroups; ++c) {
        sums[r][c].v = _mm512_dpbusd_epi32(sums[r][c].v, w.codes[i][c].v, four);
      }
    }
  }
}

// Chains enough to hide the latency of two units; the same for every type.
double BytePeak(DType, int64_t rounds) noexcept {
  constexpr int kChains = 12;
  __m512i sums[kChains];
  const __m512i weights = _mm512_set1_epi8(3), codes = _mm512_set1_epi8(5);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t round = 0; round < rounds; ++round) {
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, weights, codes);
  }
  __m512i total = sums[0];
  for (int i = 1; i < kChains; ++i) total = _mm512_add_epi32(total, sums[i]);
  volatile int keep = _mm_cvtsi128_si32(_mm512_castsi512_si128(total));
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 2 * 64 * kChains;
}

}  // namespace
}  // namespace moescope::engine
