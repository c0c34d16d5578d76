// Sixteen bytes: the codes of a quantised block on their way to floats. The 128-bit instructions
// are those of every vector level, so avx512/vector.h includes this file as well.
#pragma once

#if defined(MOESCOPE_EMULATE_AVX512)
#include "engine/kernels/avx512/emulated.h"
#else
#include <immintrin.h>
#endif

#include <cstdint>

namespace moescope::engine {
namespace {

struct Bytes {
  __m128i v;

  static Bytes Set(int value) { return {_mm_set1_epi8(static_cast<char>(value))}; }
  static Bytes Load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
  static Bytes LoadTable(const void* p) { return Load(p); }
  // The two bytes at p, eight times each.
  static Bytes SpreadTwo(const uint8_t* p) {
    return {_mm_unpacklo_epi64(_mm_set1_epi8(static_cast<char>(p[0])),
                               _mm_set1_epi8(static_cast<char>(p[1])))};
  }
};

Bytes operator&(Bytes a, Bytes b) {
  return {_mm_and_si128(a.v, b.v)};
}
Bytes operator|(Bytes a, Bytes b) {
  return {_mm_or_si128(a.v, b.v)};
}
Bytes operator-(Bytes a, Bytes b) {
  return {_mm_sub_epi8(a.v, b.v)};
}
// Bits move between neighbouring bytes: the caller masks them.
template <int N>
Bytes ShiftRight(Bytes a) {
  return {_mm_srli_epi16(a.v, N)};
}
template <int N>
Bytes ShiftLeft(Bytes a) {
  return {_mm_slli_epi16(a.v, N)};
}
// 0xff in bytes that have a bit of `mask`, a single one, else 0.
Bytes HasBit(Bytes a, Bytes mask) {
  return {_mm_cmpeq_epi8(_mm_and_si128(a.v, mask.v), mask.v)};
}
// Entries 0-15 of `table`.
Bytes Lookup(Bytes table, Bytes indices) {
  return {_mm_shuffle_epi8(table.v, indices.v)};
}

}  // namespace
}  // namespace moescope::engine
