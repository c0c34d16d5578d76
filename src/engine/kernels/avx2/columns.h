// Eight columns of whole numbers and their sums, for vector_rounded.h. Bytes meet bytes in pairs of
// 16 bits (maddubs), as many of which are added as cannot overflow; weights of 8 bits could
// overflow in one pair, so they and the activations are widened to 16 bits first.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "base/tensor/block_codes.h"
#include "engine/kernels/avx2/vector.h"
#include "engine/kernels/rounded_block.h"

namespace moescope::engine {
namespace {

constexpr bool kLevelWidensBytes = true;
// Eight pairs of sums, two registers of codes, one of activations: in sixteen registers.
constexpr int kGroups = 2;
constexpr int kRoundedRows = 4;

struct Columns {
  static constexpr int kLanes = 8;
  __m256i v;

  static Columns Set(int byte) { return {_mm256_set1_epi8(static_cast<char>(byte))}; }
  static Columns SetWord(uint32_t bits) { return {_mm256_set1_epi32(static_cast<int32_t>(bits))}; }
  static Columns Repeat16(const void* p) {
    return {_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
  }
  static Columns FromFourCodes(const void* p) {
    int32_t codes;
    __builtin_memcpy(&codes, p, sizeof(codes));
    return {_mm256_set1_epi32(codes)};
  }
  static Columns GatherWords(const uint8_t* p, const size_t* offsets) {
    alignas(64) int32_t words[kLanes];
    for (int i = 0; i < kLanes; ++i) __builtin_memcpy(words + i, p + offsets[i], sizeof(int32_t));
    return {_mm256_load_si256(reinterpret_cast<const __m256i*>(words))};
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
    return {_mm256_cvtph_ps(EightHalves(p, offsets))};
  }
  // Byte i of each lane, four times, or widened with its sign.
  Columns RepeatByte(int i) const {
    const __m256i first = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404,
                                            0x08080808, 0x0c0c0c0c);
    return {_mm256_shuffle_epi8(v, _mm256_add_epi8(first, _mm256_set1_epi8(static_cast<char>(i))))};
  }
  Columns SignedByte(int i) const {
    return {_mm256_srai_epi32(_mm256_slli_epi32(v, 24 - 8 * i), 24)};
  }
  Vec ToFloat() const { return {_mm256_cvtepi32_ps(v)}; }
  static void Prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
  // Register i: bytes 4 i to 4 i + 3 of each column's sixteen.
  static void TransposeCodes(const uint8_t* bytes, const size_t* offsets, Columns (&out)[4]) {
    __m256i rows[4];
    for (int i = 0; i < 4; ++i) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + offsets[i]));
      const auto* high = reinterpret_cast<const __m128i*>(bytes + offsets[i + 4]);
      rows[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128(high), 1);
    }
    const __m256i low_01 = _mm256_unpacklo_epi32(rows[0], rows[1]);
    const __m256i low_23 = _mm256_unpacklo_epi32(rows[2], rows[3]);
    const __m256i high_01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
    const __m256i high_23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
    out[0].v = _mm256_unpacklo_epi64(low_01, low_23);
    out[1].v = _mm256_unpackhi_epi64(low_01, low_23);
    out[2].v = _mm256_unpacklo_epi64(high_01, high_23);
    out[3].v = _mm256_unpackhi_epi64(high_01, high_23);
  }
};

inline Columns operator&(Columns a, Columns b) {
  return {_mm256_and_si256(a.v, b.v)};
}
inline Columns operator&(Columns a, uint32_t bits) {
  return a & Columns::SetWord(bits);
}
inline Columns operator|(Columns a, Columns b) {
  return {_mm256_or_si256(a.v, b.v)};
}
inline Columns operator-(Columns a, Columns b) {
  return {_mm256_sub_epi8(a.v, b.v)};
}
inline Columns operator>>(Columns a, int n) {
  return {_mm256_srli_epi32(a.v, n)};
}
inline Columns operator<<(Columns a, int n) {
  return {_mm256_slli_epi32(a.v, n)};
}
// 0xff in bytes that have a bit of `mask`, a single one, else 0.
inline Columns HasBit(Columns a, Columns mask) {
  return {_mm256_cmpeq_epi8(_mm256_and_si256(a.v, mask.v), mask.v)};
}
// Entries 0-15 of `table`, the same in every quarter.
inline Columns Lookup(Columns table, Columns indices) {
  return {_mm256_shuffle_epi8(table.v, indices.v)};
}

// Bytes 0 and 2, and bytes 1 and 3, of each lane as pairs of 16 bits.
inline void WidenCodes(Columns bytes, Columns& even, Columns& odd) {
  even.v = _mm256_srai_epi16(_mm256_slli_epi16(bytes.v, 8), 8);
  odd.v = _mm256_srai_epi16(bytes.v, 8);
}

// Rows of activations as pairs of 16 bits, where the weights are: pairs of all even, then of all
// odd bytes of a block.
template <typename Spec, int R, bool kWide = Spec::kWide>
struct WideRows {
  void Widen(const RoundedBlock*, size_t, int) {}
};
template <typename Spec, int R>
struct WideRows<Spec, R, true> {
  alignas(32) int16_t pairs[R][32][kRoundedValues];

  void Widen(const RoundedBlock* x, size_t x_stride, int n_blocks) {
    for (int r = 0; r < R; ++r) {
      for (int block = 0; block < n_blocks; ++block) {
        const int8_t* codes = x[static_cast<size_t>(r) * x_stride + block].codes;
        Columns even, odd;
        WidenCodes({_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes))}, even, odd);
        auto* to = reinterpret_cast<__m256i*>(pairs[r][block]);
        _mm256_store_si256(to, even.v);
        _mm256_store_si256(to + 1, odd.v);
      }
    }
  }
};

// How many products of `largest` and 127, in pairs, 16 bits hold: 8, 4, 2, 1 or none.
constexpr int PairsThatFit(int largest) {
  const int most = 32767 / (2 * 127 * largest);
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : most;
}

// Additions stay where they are: GCC would put off those of a part to its end, and keep all
// products in memory until then, at a third of the speed.
inline __attribute__((always_inline)) __m256i Pinned(__m256i sum) {
  __asm__("" : "+x"(sum));
  return sum;
}

// What the sums of a part are to be corrected by, since codes have Spec::kZero added: minus that
// times the sum of the row's codes.
template <typename Spec>
inline __attribute__((always_inline)) Columns ZeroCorrection(const RoundedBlock& x, int part) {
  if constexpr (Spec::kZero == 0) return {_mm256_setzero_si256()};
  // The sums of the codes' halves are a pair of 16 bits: minus zero times either or both.
  constexpr int kOther = Spec::kParts == 1 ? -Spec::kZero : 0;
  const int16_t factor_0 = part == 0 ? -Spec::kZero : kOther;
  const int16_t factor_1 = part == 1 ? -Spec::kZero : kOther;
  const __m256i factors = _mm256_set1_epi32(static_cast<int32_t>(
      static_cast<uint16_t>(factor_0) | uint32_t{static_cast<uint16_t>(factor_1)} << 16));
  return {_mm256_madd_epi16(Columns::FromFourCodes(x.sums).v, factors)};
}

// sum + sixteen codes of each column times sixteen of a row. Codes of 8 bits meet the row as their
// magnitudes, the row with their signs: a pair is at most 2 * 128 * 127, which 16 bits hold.
template <typename Spec, typename Sixteen>
inline __attribute__((always_inline)) Columns AddProducts(Columns sum, const Sixteen& codes,
                                                          const int8_t* x) {
  constexpr int kFit = Spec::kWide ? 1 : PairsThatFit(Spec::kLargest);
  constexpr int kRun = kFit < 4 ? kFit : 4;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int run = 0; run < 4; run += kRun) {
    __m256i pairs = _mm256_setzero_si256();
    for (int i = run; i < run + kRun; ++i) {
      const __m256i four = Columns::FromFourCodes(x + 4 * i).v, bytes = codes.v[i].v;
      const __m256i product =
          Spec::kWide ? _mm256_maddubs_epi16(_mm256_abs_epi8(bytes), _mm256_sign_epi8(four, bytes))
                      : _mm256_maddubs_epi16((codes.v[i] - Columns::Set(-Spec::kZero)).v, four);
      pairs = i == run ? product : _mm256_add_epi16(pairs, product);
    }
    sum.v = _mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, ones));
  }
  return sum;
}

// Whole sums of one part of a block, of R rows and all groups.
template <typename Spec, int R, typename Weights>
inline __attribute__((always_inline)) void SumPart(const RoundedBlock* x, size_t x_stride,
                                                   const WideRows<Spec, R>& wide, int block,
                                                   int part, const Weights& w,
                                                   Columns (&sums)[R][kGroups]) {
  if constexpr (Spec::kWide) {
#pragma GCC unroll 16
    for (int i = 0; i < 2 * Spec::kPartVectors; ++i) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i pair =
            Columns::FromFourCodes(wide.pairs[r][block] + 16 * (i % 2) + 2 * (i / 2)).v;
        for (int c = 0; c < kGroups; ++c) {
          const __m256i product = _mm256_madd_epi16(w.codes[i][c].v, pair);
          sums[r][c].v = i == 0 ? product : Pinned(_mm256_add_epi32(sums[r][c].v, product));
        }
      }
    }
  } else {
    constexpr int kFit = PairsThatFit(Spec::kLargest);
    constexpr int kRun = kFit < Spec::kPartVectors ? kFit : Spec::kPartVectors;
    static_assert(kRun > 0 && Spec::kPartVectors % kRun == 0);
    const int first = part * Spec::kPartVectors;
    for (int run = 0; run < Spec::kPartVectors; run += kRun) {
      __m256i pairs[R][kGroups];
#pragma GCC unroll 8
      for (int i = run; i < run + kRun; ++i) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const int8_t* codes = x[static_cast<size_t>(r) * x_stride].codes;
          const __m256i four = Columns::FromFourCodes(codes + 4 * (first + i)).v;
          for (int c = 0; c < kGroups; ++c) {
            const __m256i product = _mm256_maddubs_epi16(w.codes[first + i][c].v, four);
            pairs[r][c] = i == run ? product : Pinned(_mm256_add_epi16(pairs[r][c], product));
          }
        }
      }
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < kGroups; ++c) {
          const __m256i whole = _mm256_madd_epi16(pairs[r][c], _mm256_set1_epi16(1));
          sums[r][c].v = run == 0 ? whole : _mm256_add_epi32(sums[r][c].v, whole);
        }
      }
    }
    if constexpr (Spec::kZero != 0) {
      for (int r = 0; r < R; ++r) {
        const Columns correction = ZeroCorrection<Spec>(x[static_cast<size_t>(r) * x_stride], part);
        for (int c = 0; c < kGroups; ++c) {
          sums[r][c].v = _mm256_add_epi32(sums[r][c].v, correction.v);
        }
      }
    }
  }
}

// One product of bytes, kept inside its loop.
inline __attribute__((always_inline)) __m256i BytePairs(__m256i weights, __m256i codes) {
  __asm__ volatile("" : "+x"(codes));
  return _mm256_maddubs_epi16(weights, codes);
}

// kRun products of bytes are added in 16 bits, then widened; the only chains are the additions.
template <int kRun>
double BytePeakOf(int64_t rounds) {
  constexpr int kChains = 4;
  __m256i sums[kChains];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i weights = _mm256_set1_epi8(3), codes = _mm256_set1_epi8(5);
  for (int64_t round = 0; round < rounds; ++round) {
    for (__m256i& sum : sums) {
      __m256i pairs = BytePairs(weights, codes);
#pragma GCC unroll 8
      for (int j = 1; j < kRun; ++j) {
        pairs = _mm256_add_epi16(pairs, BytePairs(weights, codes));
      }
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  const __m256i total =
      _mm256_add_epi32(_mm256_add_epi32(sums[0], sums[1]), _mm256_add_epi32(sums[2], sums[3]));
  volatile int keep = _mm256_extract_epi32(total, 0);
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 2 * 32 * kChains * kRun;
}

double BytePeak(DType dtype, int64_t rounds) noexcept {
  const int fit = PairsThatFit(CodesOf(dtype).part == 0 ? 255 : CodesOf(dtype).largest);
  if (fit == 8) return BytePeakOf<8>(rounds);
  if (fit == 4) return BytePeakOf<4>(rounds);
  return fit == 2 ? BytePeakOf<2>(rounds) : BytePeakOf<1>(rounds);
}

}  // namespace
}  // namespace moescope::engine
