// Blocks of several columns taken apart at once and turned, so that a lane of 32 bits holds four
// codes of one column. Included by vector_rounded.h after a level's Columns, under the rules of
// vector_kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/block_codes.h"
#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"
#include "engine/kernels/rounded_block.h"
#include "engine/kernels/vector_take_apart.h"

namespace moescope::engine {
namespace {

// How a type is multiplied.
template <DType kType, typename StoredBlock>
struct RoundedSpec {
  using Block = StoredBlock;
  static constexpr CodeInfo kInfo = CodesOf(kType);
  static constexpr int kBlockValues = Info(kType).block_elements;
  static constexpr bool kWide = kLevelWidensBytes && kInfo.largest > 127;
  // Added to codes so that they are unsigned bytes; widened ones keep their sign.
  static constexpr int kZero = kWide ? 0 : kInfo.zero;
  static constexpr int kLargest = kInfo.largest;
  static constexpr int kParts = kRoundedValues / kInfo.part;
  static constexpr int kPartVectors = kInfo.part / 4;  // registers of codes a part
};

// Sixteen bytes of each column: lane c of register i holds bytes 4 i to 4 i + 3 of column c.
struct Turned {
  Columns v[4];

  static MOESCOPE_INLINE Turned Set(int value) {
    const Columns all = Columns::Set(value);
    return {{all, all, all, all}};
  }
  // The same sixteen in each quarter of a register, for Lookup alone.
  static MOESCOPE_INLINE Turned LoadTable(const void* p) {
    const Columns all = Columns::Repeat16(p);
    return {{all, all, all, all}};
  }
};
template <typename F>
MOESCOPE_INLINE Turned OfEach(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
MOESCOPE_INLINE Turned operator&(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] & b.v[i]; });
}
MOESCOPE_INLINE Turned operator|(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] | b.v[i]; });
}
MOESCOPE_INLINE Turned operator-(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] - b.v[i]; });
}
template <int N>
MOESCOPE_INLINE Turned ShiftRight(Turned a) {
  return OfEach([&](int i) { return a.v[i] >> N; });
}
template <int N>
MOESCOPE_INLINE Turned ShiftLeft(Turned a) {
  return OfEach([&](int i) { return a.v[i] << N; });
}
MOESCOPE_INLINE Turned HasBit(Turned a, Turned mask) {
  return OfEach([&](int i) { return HasBit(a.v[i], mask.v[i]); });
}
MOESCOPE_INLINE Turned Lookup(Turned table, Turned indices) {
  return OfEach([&](int i) { return Lookup(table.v[i], indices.v[i]); });
}

// One block of every column, taken apart at once (vector_take_apart.h): pointers are into the first
// column's block, the others lie `offsets` bytes further on.
//
// A Sink takes the sixteen codes of each column from `value` on, and what they are scaled with:
// Put(value, codes, step[, offset]).
template <typename Sink>
struct TurnedPlace {
  using Word = Columns;
  Sink sink;
  const size_t* offsets;  // [Columns::kLanes]
  int value = 0;

  MOESCOPE_INLINE TurnedPlace operator+(int n) const { return {sink, offsets, value + n}; }
  MOESCOPE_INLINE void Put(Turned codes, Vec step) const { sink.Put(value, codes, step); }
  MOESCOPE_INLINE void Put(Turned codes, Vec step, Vec offset) const {
    sink.Put(value, codes, step, offset);
  }

  MOESCOPE_INLINE Turned Load(const void* p) const {
    Turned turned;
    Columns::TransposeCodes(static_cast<const uint8_t*>(p), offsets, turned.v);
    return turned;
  }
  MOESCOPE_INLINE Turned FifthBits(const uint8_t* high_bits, int half) const {
    const Columns words = Columns::GatherWords(high_bits, offsets);
    return OfEach([&](int i) {
      // Byte b of a lane wants bit 16 half + 4 i + b of its word.
      const int byte = 2 * half + i / 2;
      return HasBit(words.RepeatByte(byte), Columns::SetWord(0x08040201u << (i % 2 * 4))) &
             Columns::Set(16);
    });
  }
  // Four bytes before p are read as well: they belong to the block in all types that have words.
  MOESCOPE_INLINE void Words(const uint8_t* p, Word (&words)[3]) const {
    const Turned all = Load(p - 4);
    for (int i = 0; i < 3; ++i) words[i] = all.v[i + 1];
  }
  MOESCOPE_INLINE Turned FromWords(const Word (&words)[4]) const {
    return OfEach([&](int i) { return words[i]; });
  }
  MOESCOPE_INLINE Vec Scale(const StoredHalf& half) const {
    return Columns::GatherHalves(reinterpret_cast<const uint8_t*>(&half), offsets);
  }
  template <typename Block, typename F>
  MOESCOPE_INLINE Vec Each(const Block& block, F f) const {
    alignas(64) float values[Columns::kLanes];
    for (int i = 0; i < Columns::kLanes; ++i) {
      values[i] =
          f(*reinterpret_cast<const Block*>(reinterpret_cast<const uint8_t*>(&block) + offsets[i]));
    }
    return Vec::Load(values);
  }
  struct PartScales {
    Turned parts;
    Vec scale;
    MOESCOPE_INLINE Vec operator[](int part) const {
      return scale * parts.v[part / 4].SignedByte(part % 4).ToFloat();
    }
  };
  MOESCOPE_INLINE PartScales Parts(Turned parts, Vec scale) const { return {parts, scale}; }
};

}  // namespace
}  // namespace moescope::engine
