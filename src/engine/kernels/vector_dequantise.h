// Quantised blocks to float32 at every vector level: codes are widened, multiplied by the scale
// and, where the type has one, added to the offset, each rounded by itself. Bit for bit what
// base/tensor/dequantise_blocks.cpp defines.
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
#include "engine/kernels/vector_take_apart.h"

namespace moescope::engine {
namespace {

// Values of one block as floats, in their order.
struct FloatPlace {
  using Word = uint32_t;
  float* to;

  MOESCOPE_INLINE FloatPlace operator+(int n) const { return {to + n}; }
  MOESCOPE_INLINE void Put(Bytes codes, Vec step) const {
    (step * Vec::FromBytes<0>(codes)).Store(to);
    if constexpr (Vec::kWidth < kCodes) {
      (step * Vec::FromBytes<kCodes / 2>(codes)).Store(to + kCodes / 2);
    }
  }
  MOESCOPE_INLINE void Put(Bytes codes, Vec step, Vec offset) const {
    (step * Vec::FromBytes<0>(codes) + offset).Store(to);
    if constexpr (Vec::kWidth < kCodes) {
      (step * Vec::FromBytes<kCodes / 2>(codes) + offset).Store(to + kCodes / 2);
    }
  }

  MOESCOPE_INLINE Bytes Load(const void* p) const { return Bytes::Load(p); }
  MOESCOPE_INLINE Bytes FifthBits(const uint8_t* high_bits, int half) const {
    alignas(16) constexpr uint8_t kBits[kCodes] = {1, 2, 4, 8, 16, 32, 64, 128,
                                                   1, 2, 4, 8, 16, 32, 64, 128};
    return HasBit(Bytes::SpreadTwo(high_bits + 2 * half), Bytes::Load(kBits)) & Bytes::Set(16);
  }
  MOESCOPE_INLINE void Words(const uint8_t* p, Word (&words)[3]) const {
    std::memcpy(words, p, sizeof(words));
  }
  MOESCOPE_INLINE Bytes FromWords(const Word (&words)[4]) const { return Bytes::Load(words); }
  MOESCOPE_INLINE Vec Scale(const StoredHalf& half) const { return Vec::Set(HalfToFloat(half)); }
  template <typename Block, typename F>
  MOESCOPE_INLINE Vec Each(const Block& block, F f) const {
    return Vec::Set(f(block));
  }
  struct PartScales {
    alignas(64) float values[kCodes];
    MOESCOPE_INLINE Vec operator[](int part) const { return Vec::Set(values[part]); }
  };
  MOESCOPE_INLINE PartScales Parts(Bytes parts, Vec scale) const {
    PartScales scales;
    FloatPlace{scales.values}.Put(parts, scale);
    return scales;
  }
};

// Blocks are read where they lie: they may have any address.
template <DType dtype, typename Block>
void DequantiseAll(const void* stored, float* out, size_t n) {
  static_assert(sizeof(Block) == Info(dtype).block_bytes && alignof(Block) == 1);
  constexpr size_t kElements = Info(dtype).block_elements;
  const auto* blocks = static_cast<const Block*>(stored);
  for (size_t i = 0; i < n / kElements; ++i) TakeApart(blocks[i], FloatPlace{out + i * kElements});
}

void DequantiseBlocks(DType dtype, const void* stored, float* out, size_t n) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no blocks
#define MOESCOPE_CASE(type, ...) \
  case DType::k##type:           \
    return DequantiseAll<DType::k##type, Block##type>(stored, out, n);
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
  }
}

}  // namespace
}  // namespace moescope::engine
