// Quantised blocks taken apart, at every vector level and once for all purposes: sixteen codes at a
// time are put together as bytes and handed over with the step and the offset they are scaled with,
// as floats rounded like base/tensor/dequantise_blocks.cpp rounds them. Included by
// vector_dequantise.h and vector_rounded.h; internal linkage for the reasons given in
// vector_kernels.h.
//
// Where the values go is an `Out`, which also says what is taken apart: one block, its codes in
// order (FloatPlace), or one block of each of several columns at once (TurnedPlace). An Out offers
//   Load(p)              sixteen bytes of a block, with & | -, ShiftRight, ShiftLeft, HasBit,
//   Lookup FifthBits(p, half)   16 in the bytes of sixteen values whose bit, of the four bytes at
//   p, is set Words(p, words)      twelve bytes as three words, with & | << >>; FromWords makes
//   bytes of four Scale(half)          a stored scale; Each(block, f): the float f gives for a
//   block Parts(bytes, scale)  scale times each of sixteen signed bytes, by index Put(codes, step[,
//   offset]) stores sixteen values; + n: n values further on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"

namespace moescope::engine {
namespace {

#define MOESCOPE_INLINE inline __attribute__((always_inline))

constexpr int kCodes = 16;  // of one Put

template <typename B>
MOESCOPE_INLINE B LowNibbles(B bytes) {
  return bytes & B::Set(15);
}
template <typename B>
MOESCOPE_INLINE B HighNibbles(B bytes) {
  return ShiftRight<4>(bytes) & B::Set(15);
}

// The codes of a block of 32.
template <typename B>
struct Codes {
  B first, second;
};

template <typename Out>
MOESCOPE_INLINE auto FourBits(const Out& out, const uint8_t* nibbles) {
  const auto bytes = out.Load(nibbles);
  return Codes<decltype(out.Load(nibbles))>{LowNibbles(bytes), HighNibbles(bytes)};
}
template <typename Out>
MOESCOPE_INLINE auto FiveBits(const Out& out, const uint8_t* nibbles, const uint8_t* high_bits) {
  auto codes = FourBits(out, nibbles);
  codes.first = codes.first | out.FifthBits(high_bits, 0);
  codes.second = codes.second | out.FifthBits(high_bits, 1);
  return codes;
}

template <typename B>
MOESCOPE_INLINE Codes<B> Minus(Codes<B> codes, int middle) {
  const B m = B::Set(middle);
  return {codes.first - m, codes.second - m};
}
template <typename B>
MOESCOPE_INLINE Codes<B> Entries(const int8_t* table, Codes<B> codes) {
  const B entries = B::LoadTable(table);
  return {Lookup(entries, codes.first), Lookup(entries, codes.second)};
}

template <typename B, typename Out>
MOESCOPE_INLINE void PutBoth(Codes<B> codes, Vec step, const Out& out) {
  out.Put(codes.first, step);
  (out + kCodes).Put(codes.second, step);
}
template <typename B, typename Out>
MOESCOPE_INLINE void PutBoth(Codes<B> codes, Vec step, Vec offset, const Out& out) {
  out.Put(codes.first, step, offset);
  (out + kCodes).Put(codes.second, step, offset);
}

MOESCOPE_INLINE float HalfToFloat(StoredHalf half) {
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return HalfToFloat(bits);
}
// 2^(exponent - 128), of which the first two are subnormal.
MOESCOPE_INLINE float HalvedPowerOfTwo(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t{exponent} - 1) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ4_0& block, const Out& out) {
  PutBoth(Minus(FourBits(out, block.nibbles), 8), out.Scale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ4_1& block, const Out& out) {
  PutBoth(FourBits(out, block.nibbles), out.Scale(block.scale), out.Scale(block.offset), out);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ5_0& block, const Out& out) {
  PutBoth(Minus(FiveBits(out, block.nibbles, block.high_bits), 16), out.Scale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ5_1& block, const Out& out) {
  PutBoth(FiveBits(out, block.nibbles, block.high_bits), out.Scale(block.scale),
          out.Scale(block.offset), out);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ8_0& block, const Out& out) {
  const Vec scale = out.Scale(block.scale);
  out.Put(out.Load(block.values), scale);
  (out + kCodes).Put(out.Load(block.values + kCodes), scale);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockIQ4_NL& block, const Out& out) {
  PutBoth(Entries(kIq4Values, FourBits(out, block.nibbles)), out.Scale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockMXFP4& block, const Out& out) {
  const Vec scale =
      out.Each(block, [](const BlockMXFP4& b) { return HalvedPowerOfTwo(b.exponent); });
  PutBoth(Entries(kMxfp4Values, FourBits(out, block.nibbles)), scale, out);
}

// Bits 2 j of sixteen bytes: a value of two bits, or the upper two of one, moved to bits To, To
// + 1.
template <int J, int To, typename B>
MOESCOPE_INLINE B TwoBits(B bytes) {
  constexpr int kShift = 2 * J - To;
  const B mask = B::Set(3 << To);
  if constexpr (kShift >= 0) {
    return ShiftRight<kShift>(bytes) & mask;
  } else {
    return ShiftLeft<-kShift>(bytes) & mask;
  }
}

// Calls f.template operator()<J>() for J = 0, 1, 2, 3.
template <typename F>
MOESCOPE_INLINE void FourTimes(F f) {
  f.template operator()<0>();
  f.template operator()<1>();
  f.template operator()<2>();
  f.template operator()<3>();
}

// Minima are subtracted by adding -min_scale times them: the same bits.
template <typename Out>
MOESCOPE_INLINE Vec Negated(const Out& out, StoredHalf const& half) {
  return out.Scale(half) * Vec::Set(-1);
}

template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ2_K& block, const Out& out) {
  const auto parts = out.Load(block.parts);
  const auto steps = out.Parts(LowNibbles(parts), out.Scale(block.scale));
  const auto offsets = out.Parts(HighNibbles(parts), Negated(out, block.min_scale));
  for (int i = 0; i < 4; ++i) {  // sixteen bytes of codes
    const int group = i / 2, half = i % 2;
    const auto codes = out.Load(block.codes + kCodes * i);
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      (out + kCodes * part).Put(TwoBits<J, 0>(codes), steps[part], offsets[part]);
    });
  }
}

// The 16 scales of Q3_K, of 6 bits each, four at a time in a word.
template <typename Out>
MOESCOPE_INLINE auto UnpackQ3_KParts(const Out& out, const uint8_t* packed) {
  constexpr uint32_t kLow = 0x0f0f0f0f, kPair = 0x03030303;
  typename Out::Word words[3];
  out.Words(packed, words);
  const auto pairs = words[2];
  const typename Out::Word parts[4] = {
      (words[0] & kLow) | (pairs & kPair) << 4,
      (words[1] & kLow) | (pairs >> 2 & kPair) << 4,
      (words[0] >> 4 & kLow) | (pairs >> 4 & kPair) << 4,
      (words[1] >> 4 & kLow) | (pairs >> 6 & kPair) << 4,
  };
  const auto bytes = out.FromWords(parts);
  return bytes - decltype(out.FromWords(parts))::Set(32);
}

template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ3_K& block, const Out& out) {
  using B = decltype(out.Load(block.codes));
  const auto steps = out.Parts(UnpackQ3_KParts(out, block.parts), out.Scale(block.scale));
  const B high_bits[2] = {out.Load(block.high_bits), out.Load(block.high_bits + kCodes)};
  for (int i = 0; i < 4; ++i) {
    const int group = i / 2, half = i % 2;
    const B codes = out.Load(block.codes + kCodes * i);
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      const B high = HasBit(high_bits[half], B::Set(1 << (4 * group + J))) & B::Set(4);
      (out + kCodes * part).Put((TwoBits<J, 0>(codes) | high) - B::Set(4), steps[part]);
    });
  }
}

// The 8 scales, then the 8 minima of Q4_K and Q5_K, of 6 bits each.
template <typename Out>
MOESCOPE_INLINE auto UnpackQ4_KParts(const Out& out, const uint8_t* packed) {
  constexpr uint32_t kSix = 0x3f3f3f3f, kLow = 0x0f0f0f0f, kPair = 0x03030303;
  typename Out::Word words[3];
  out.Words(packed, words);
  const typename Out::Word parts[4] = {
      words[0] & kSix,
      (words[2] & kLow) | (words[0] >> 6 & kPair) << 4,
      words[1] & kSix,
      (words[2] >> 4 & kLow) | (words[1] >> 6 & kPair) << 4,
  };
  return out.FromWords(parts);
}

// What Q4_K and Q5_K share; add_fifth_bit(codes, part, half) completes sixteen codes, the first or
// second half of a part.
template <typename Block, typename Out, typename F>
MOESCOPE_INLINE void TakeEightPartsApart(const Block& block, const Out& out, F add_fifth_bit) {
  const auto parts = UnpackQ4_KParts(out, block.parts);
  const auto steps = out.Parts(parts, out.Scale(block.scale));           // the first eight
  const auto offsets = out.Parts(parts, Negated(out, block.min_scale));  // the last eight
  for (int i = 0; i < 8; ++i) {                                          // sixteen bytes of codes
    const int part = i / 2 * 2, half = i % 2;
    const auto bytes = out.Load(block.nibbles + kCodes * i);
    const auto to = out + (32 * part + kCodes * half);
    to.Put(add_fifth_bit(LowNibbles(bytes), part, half), steps[part], offsets[8 + part]);
    (to + 32).Put(add_fifth_bit(HighNibbles(bytes), part + 1, half), steps[part + 1],
                  offsets[8 + part + 1]);
  }
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ4_K& block, const Out& out) {
  TakeEightPartsApart(block, out, [](auto codes, int, int) { return codes; });
}
template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ5_K& block, const Out& out) {
  using B = decltype(out.Load(block.high_bits));
  const B high_bits[2] = {out.Load(block.high_bits), out.Load(block.high_bits + kCodes)};
  TakeEightPartsApart(block, out, [&](B codes, int part, int half) {
    return codes | (HasBit(high_bits[half], B::Set(1 << part)) & B::Set(16));
  });
}

template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockQ6_K& block, const Out& out) {
  using B = decltype(out.Load(block.nibbles));
  const auto steps = out.Parts(out.Load(block.parts), out.Scale(block.scale));
  for (int i = 0; i < 4; ++i) {  // sixteen bytes of the upper bits
    const int group = i / 2, half = i % 2;
    const B high = out.Load(block.high_pairs + kCodes * i);
    const uint8_t* nibbles = block.nibbles + 64 * group + kCodes * half;
    const B bytes[2] = {out.Load(nibbles), out.Load(nibbles + 32)};
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      const B low = J < 2 ? LowNibbles(bytes[J % 2]) : HighNibbles(bytes[J % 2]);
      (out + kCodes * part).Put((low | TwoBits<J, 4>(high)) - B::Set(32), steps[part]);
    });
  }
}

template <typename Out>
MOESCOPE_INLINE void TakeApart(const BlockIQ4_XS& block, const Out& out) {
  for (int part = 0; part < 8; ++part) {
    const Vec step = out.Each(block, [part](const BlockIQ4_XS& b) {
      const int low = b.parts_low[part / 2] >> (part % 2 * 4) & 15;
      const int high = b.parts_high[part / 4] >> (part % 4 * 2) & 3;
      return HalfToFloat(b.scale) * static_cast<float>((low | high << 4) - 32);
    });
    PutBoth(Entries(kIq4Values, FourBits(out, block.nibbles + 16 * part)), step, out + 32 * part);
  }
}

}  // namespace
}  // namespace moescope::engine
