// Quantised blocks to float32 at every vector level, sixteen values at a time: their codes are put
// together as bytes, then widened, multiplied by the scale and, where the type has one, added to
// the offset, each rounded by itself. Bit for bit what base/tensor/dequantise_blocks.cpp defines.
// Where the values go is the type of the last argument: a float*, or a CodePlace
// (vector_rounded.h), which keeps codes and scales apart.
// Included by vector_kernels.h; internal linkage for the reasons given there.
//
// Needs of Vec: kWidth, Set, Load, Store, FromBytes<first>(bytes), * and +; and beside it Bytes
// (Set, Load, SpreadTwo, & | -, ShiftRight, ShiftLeft, HasBit, Lookup) and HalfToFloat(bits).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"

namespace moescope::engine {
namespace {

#define MOESCOPE_INLINE inline __attribute__((always_inline))

constexpr int kCodes = 16;  // of one Bytes

MOESCOPE_INLINE void StoreScaled(Bytes codes, Vec scale, float* out) {
  (scale * Vec::FromBytes<0>(codes)).Store(out);
  if constexpr (Vec::kWidth < kCodes) {
    (scale * Vec::FromBytes<kCodes / 2>(codes)).Store(out + kCodes / 2);
  }
}
MOESCOPE_INLINE void StoreScaled(Bytes codes, Vec scale, Vec offset, float* out) {
  (scale * Vec::FromBytes<0>(codes) + offset).Store(out);
  if constexpr (Vec::kWidth < kCodes) {
    (scale * Vec::FromBytes<kCodes / 2>(codes) + offset).Store(out + kCodes / 2);
  }
}

MOESCOPE_INLINE Bytes LowNibbles(Bytes bytes) {
  return bytes & Bytes::Set(15);
}
MOESCOPE_INLINE Bytes HighNibbles(Bytes bytes) {
  return ShiftRight<4>(bytes) & Bytes::Set(15);
}

// The codes of a block of 32.
struct Codes {
  Bytes first, second;
};

MOESCOPE_INLINE Codes FourBits(const uint8_t* nibbles) {
  const Bytes bytes = Bytes::Load(nibbles);
  return {LowNibbles(bytes), HighNibbles(bytes)};
}

// 16 in the bytes whose bit is set: bit i of two bytes belongs to byte i.
MOESCOPE_INLINE Bytes FifthBits(const uint8_t* two_bytes) {
  alignas(16) constexpr uint8_t kBits[kCodes] = {1, 2, 4, 8, 16, 32, 64, 128,
                                                 1, 2, 4, 8, 16, 32, 64, 128};
  return HasBit(Bytes::SpreadTwo(two_bytes), Bytes::Load(kBits)) & Bytes::Set(16);
}
MOESCOPE_INLINE Codes FiveBits(const uint8_t* nibbles, const uint8_t* high_bits) {
  const Codes low = FourBits(nibbles);
  return {low.first | FifthBits(high_bits), low.second | FifthBits(high_bits + 2)};
}

MOESCOPE_INLINE Codes Minus(Codes codes, int middle) {
  const Bytes m = Bytes::Set(middle);
  return {codes.first - m, codes.second - m};
}
MOESCOPE_INLINE Codes Entries(const int8_t* table, Codes codes) {
  const Bytes entries = Bytes::Load(table);
  return {Lookup(entries, codes.first), Lookup(entries, codes.second)};
}

template <typename Out>
MOESCOPE_INLINE void StoreScaled(Codes codes, Vec scale, Out out) {
  StoreScaled(codes.first, scale, out);
  StoreScaled(codes.second, scale, out + kCodes);
}
template <typename Out>
MOESCOPE_INLINE void StoreScaled(Codes codes, Vec scale, Vec offset, Out out) {
  StoreScaled(codes.first, scale, offset, out);
  StoreScaled(codes.second, scale, offset, out + kCodes);
}

MOESCOPE_INLINE float HalfToFloat(StoredHalf half) {
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return HalfToFloat(bits);
}
MOESCOPE_INLINE Vec SetScale(StoredHalf half) {
  return Vec::Set(HalfToFloat(half));
}
// 2^(exponent - 128), of which the first two are subnormal.
MOESCOPE_INLINE Vec HalvedPowerOfTwo(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t{exponent} - 1) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return Vec::Set(value);
}

template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ4_0& block, Out out) {
  StoreScaled(Minus(FourBits(block.nibbles), 8), SetScale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ4_1& block, Out out) {
  StoreScaled(FourBits(block.nibbles), SetScale(block.scale), SetScale(block.offset), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ5_0& block, Out out) {
  StoreScaled(Minus(FiveBits(block.nibbles, block.high_bits), 16), SetScale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ5_1& block, Out out) {
  StoreScaled(FiveBits(block.nibbles, block.high_bits), SetScale(block.scale),
              SetScale(block.offset), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ8_0& block, Out out) {
  StoreScaled({Bytes::Load(block.values), Bytes::Load(block.values + kCodes)},
              SetScale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockIQ4_NL& block, Out out) {
  StoreScaled(Entries(kIq4Values, FourBits(block.nibbles)), SetScale(block.scale), out);
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockMXFP4& block, Out out) {
  StoreScaled(Entries(kMxfp4Values, FourBits(block.nibbles)), HalvedPowerOfTwo(block.exponent),
              out);
}

// Scales of a super-block's parts, as floats.
struct PartScales {
  alignas(64) float values[kCodes];

  MOESCOPE_INLINE PartScales(Bytes parts, Vec scale) { StoreScaled(parts, scale, values); }
  MOESCOPE_INLINE Vec operator[](int part) const { return Vec::Set(values[part]); }
};

// Bits 2 j of 32 bytes: a value of two bits, or the upper two of one, moved to bits To, To + 1.
template <int J, int To>
MOESCOPE_INLINE Bytes TwoBits(const uint8_t* bytes) {
  constexpr int kShift = 2 * J - To;
  const Bytes loaded = Bytes::Load(bytes);
  const Bytes mask = Bytes::Set(3 << To);
  if constexpr (kShift >= 0) {
    return ShiftRight<kShift>(loaded) & mask;
  } else {
    return ShiftLeft<-kShift>(loaded) & mask;
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
MOESCOPE_INLINE Vec SetNegated(StoredHalf half) {
  return Vec::Set(-HalfToFloat(half));
}

template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ2_K& block, Out out) {
  const Bytes parts = Bytes::Load(block.parts);
  const PartScales steps(LowNibbles(parts), SetScale(block.scale));
  const PartScales offsets(HighNibbles(parts), SetNegated(block.min_scale));
  for (int i = 0; i < 4; ++i) {  // sixteen bytes of codes
    const int group = i / 2, half = i % 2;
    const uint8_t* codes = block.codes + kCodes * i;
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      StoreScaled(TwoBits<J, 0>(codes), steps[part], offsets[part], out + kCodes * part);
    });
  }
}

// The 16 scales of Q3_K, of 6 bits each, four at a time in a word.
MOESCOPE_INLINE Bytes UnpackQ3_KParts(const uint8_t* packed) {
  constexpr uint32_t kLow = 0x0f0f0f0f, kPair = 0x03030303;
  uint32_t words[3];
  std::memcpy(words, packed, sizeof(words));
  const uint32_t pairs = words[2];
  const uint32_t parts[4] = {
      (words[0] & kLow) | (pairs & kPair) << 4,
      (words[1] & kLow) | (pairs >> 2 & kPair) << 4,
      (words[0] >> 4 & kLow) | (pairs >> 4 & kPair) << 4,
      (words[1] >> 4 & kLow) | (pairs >> 6 & kPair) << 4,
  };
  return Bytes::Load(parts) - Bytes::Set(32);
}

template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ3_K& block, Out out) {
  const PartScales steps(UnpackQ3_KParts(block.parts), SetScale(block.scale));
  for (int i = 0; i < 4; ++i) {
    const int group = i / 2, half = i % 2;
    const uint8_t* codes = block.codes + kCodes * i;
    const Bytes high_bits = Bytes::Load(block.high_bits + kCodes * half);
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      const Bytes high = HasBit(high_bits, Bytes::Set(1 << (4 * group + J))) & Bytes::Set(4);
      StoreScaled((TwoBits<J, 0>(codes) | high) - Bytes::Set(4), steps[part], out + kCodes * part);
    });
  }
}

// The 8 scales, then the 8 minima of Q4_K and Q5_K, of 6 bits each.
MOESCOPE_INLINE Bytes UnpackQ4_KParts(const uint8_t* packed) {
  constexpr uint32_t kSix = 0x3f3f3f3f, kLow = 0x0f0f0f0f, kPair = 0x03030303;
  uint32_t words[3];
  std::memcpy(words, packed, sizeof(words));
  const uint32_t parts[4] = {
      words[0] & kSix,
      (words[2] & kLow) | (words[0] >> 6 & kPair) << 4,
      words[1] & kSix,
      (words[2] >> 4 & kLow) | (words[1] >> 6 & kPair) << 4,
  };
  return Bytes::Load(parts);
}

// What Q4_K and Q5_K share; add_fifth_bit(codes, part, half) completes sixteen codes, the first or
// second half of a part.
template <typename Block, typename Out, typename F>
MOESCOPE_INLINE void DequantiseEightParts(const Block& block, Out out, F add_fifth_bit) {
  const Bytes parts = UnpackQ4_KParts(block.parts);
  const PartScales steps(parts, SetScale(block.scale));          // the first eight
  const PartScales offsets(parts, SetNegated(block.min_scale));  // the last eight
  for (int i = 0; i < 8; ++i) {                                  // sixteen bytes of codes
    const int part = i / 2 * 2, half = i % 2;
    const Bytes bytes = Bytes::Load(block.nibbles + kCodes * i);
    const Out to = out + (32 * part + kCodes * half);
    StoreScaled(add_fifth_bit(LowNibbles(bytes), part, half), steps[part], offsets[8 + part], to);
    StoreScaled(add_fifth_bit(HighNibbles(bytes), part + 1, half), steps[part + 1],
                offsets[8 + part + 1], to + 32);
  }
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ4_K& block, Out out) {
  DequantiseEightParts(block, out, [](Bytes codes, int, int) { return codes; });
}
template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ5_K& block, Out out) {
  const Bytes high_bits[2] = {Bytes::Load(block.high_bits), Bytes::Load(block.high_bits + kCodes)};
  DequantiseEightParts(block, out, [&](Bytes codes, int part, int half) {
    return codes | (HasBit(high_bits[half], Bytes::Set(1 << part)) & Bytes::Set(16));
  });
}

template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockQ6_K& block, Out out) {
  const PartScales steps(Bytes::Load(block.parts), SetScale(block.scale));
  for (int i = 0; i < 4; ++i) {  // sixteen bytes of the upper bits
    const int group = i / 2, half = i % 2;
    const uint8_t* high = block.high_pairs + kCodes * i;
    FourTimes([&]<int J>() __attribute__((always_inline)) {
      const int part = 8 * group + 2 * J + half;
      const Bytes bytes = Bytes::Load(block.nibbles + 64 * group + 32 * (J % 2) + kCodes * half);
      const Bytes low = J < 2 ? LowNibbles(bytes) : HighNibbles(bytes);
      StoreScaled((low | TwoBits<J, 4>(high)) - Bytes::Set(32), steps[part], out + kCodes * part);
    });
  }
}

template <typename Out>
MOESCOPE_INLINE void DequantiseBlock(const BlockIQ4_XS& block, Out out) {
  const float scale = HalfToFloat(block.scale);
  for (int part = 0; part < 8; ++part) {
    const int low = block.parts_low[part / 2] >> (part % 2 * 4) & 15;
    const int high = block.parts_high[part / 4] >> (part % 4 * 2) & 3;
    const float step = scale * static_cast<float>((low | high << 4) - 32);
    StoreScaled(Entries(kIq4Values, FourBits(block.nibbles + 16 * part)), Vec::Set(step),
                out + 32 * part);
  }
}

// Blocks are read where they lie: they may have any address.
template <DType dtype, typename Block>
void DequantiseAll(const void* stored, float* out, size_t n) {
  static_assert(sizeof(Block) == Info(dtype).block_bytes && alignof(Block) == 1);
  constexpr size_t kElements = Info(dtype).block_elements;
  const auto* blocks = static_cast<const Block*>(stored);
  for (size_t i = 0; i < n / kElements; ++i) DequantiseBlock(blocks[i], out + i * kElements);
}

void DequantiseBlocks(DType dtype, const void* stored, float* out, size_t n) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no blocks
    case DType::kQ8_0:
      return DequantiseAll<DType::kQ8_0, BlockQ8_0>(stored, out, n);
    case DType::kQ4_0:
      return DequantiseAll<DType::kQ4_0, BlockQ4_0>(stored, out, n);
    case DType::kQ4_1:
      return DequantiseAll<DType::kQ4_1, BlockQ4_1>(stored, out, n);
    case DType::kQ5_0:
      return DequantiseAll<DType::kQ5_0, BlockQ5_0>(stored, out, n);
    case DType::kQ5_1:
      return DequantiseAll<DType::kQ5_1, BlockQ5_1>(stored, out, n);
    case DType::kQ2_K:
      return DequantiseAll<DType::kQ2_K, BlockQ2_K>(stored, out, n);
    case DType::kQ3_K:
      return DequantiseAll<DType::kQ3_K, BlockQ3_K>(stored, out, n);
    case DType::kQ4_K:
      return DequantiseAll<DType::kQ4_K, BlockQ4_K>(stored, out, n);
    case DType::kQ5_K:
      return DequantiseAll<DType::kQ5_K, BlockQ5_K>(stored, out, n);
    case DType::kQ6_K:
      return DequantiseAll<DType::kQ6_K, BlockQ6_K>(stored, out, n);
    case DType::kIQ4_NL:
      return DequantiseAll<DType::kIQ4_NL, BlockIQ4_NL>(stored, out, n);
    case DType::kIQ4_XS:
      return DequantiseAll<DType::kIQ4_XS, BlockIQ4_XS>(stored, out, n);
    case DType::kMXFP4:
      return DequantiseAll<DType::kMXFP4, BlockMXFP4>(stored, out, n);
  }
}

}  // namespace
}  // namespace moescope::engine
