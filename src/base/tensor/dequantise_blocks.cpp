#include "base/tensor/dequantise_blocks.h"

#include <bit>
#include <cstring>

#include "base/tensor/block_codes.h"
#include "base/tensor/quant_blocks.h"

namespace moescope {
namespace {

constexpr int kSuperBlock = 256;

float ToFloat(StoredHalf half) {
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return F16ToF32(bits);
}

int Low(uint8_t byte) {
  return byte & 15;
}
int High(uint8_t byte) {
  return byte >> 4;
}
// Bit `i` of little-endian bytes.
int Bit(const uint8_t* bytes, int i) {
  return bytes[i / 8] >> (i % 8) & 1;
}

// Code i of 32: four bits, and a fifth.
int FourBits(const uint8_t* nibbles, int i) {
  return i < 16 ? Low(nibbles[i]) : High(nibbles[i - 16]);
}
int FiveBits(const uint8_t* nibbles, const uint8_t* high_bits, int i) {
  return FourBits(nibbles, i) | Bit(high_bits, i) << 4;
}

template <typename F>
void ForEachValue(const BlockQ4_0& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, FourBits(block.nibbles, i) - 8);
  }
}

template <typename F>
void ForEachValue(const BlockQ4_1& block, F value) {
  const float scale = ToFloat(block.scale), offset = ToFloat(block.offset);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, FourBits(block.nibbles, i), offset);
  }
}

template <typename F>
void ForEachValue(const BlockQ5_0& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, FiveBits(block.nibbles, block.high_bits, i) - 16);
  }
}

template <typename F>
void ForEachValue(const BlockQ5_1& block, F value) {
  const float scale = ToFloat(block.scale), offset = ToFloat(block.offset);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, FiveBits(block.nibbles, block.high_bits, i), offset);
  }
}

template <typename F>
void ForEachValue(const BlockQ8_0& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) value(i, scale, block.values[i]);
}

template <typename F>
void ForEachValue(const BlockIQ4_NL& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, kIq4Values[FourBits(block.nibbles, i)]);
  }
}

// 2^(exponent - 128), of which the first two are subnormal.
float HalvedPowerOfTwo(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t{exponent} - 1) << 23;
  return std::bit_cast<float>(bits);
}

template <typename F>
void ForEachValue(const BlockMXFP4& block, F value) {
  const float scale = HalvedPowerOfTwo(block.exponent);
  for (int i = 0; i < 32; ++i) {
    value(i, scale, kMxfp4Values[FourBits(block.nibbles, i)]);
  }
}

// Two bits of value i of a super-block: groups of 128, four values to a byte.
int TwoBits(const uint8_t* codes, int i) {
  return codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

template <typename F>
void ForEachValue(const BlockQ2_K& block, F value) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t part = block.parts[i / 16];
    const float step = scale * static_cast<float>(Low(part));
    const float minimum = min_scale * static_cast<float>(High(part));
    value(i, step, TwoBits(block.codes, i), -minimum);
  }
}

int PartScale(const BlockQ3_K& block, int part) {
  const uint8_t byte = block.parts[part % 8];
  const int low = part < 8 ? Low(byte) : High(byte);
  return low | (block.parts[8 + part % 4] >> (part / 4 * 2) & 3) << 4;
}

template <typename F>
void ForEachValue(const BlockQ3_K& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const float step = scale * static_cast<float>(PartScale(block, i / 16) - 32);
    const int high = block.high_bits[i % 32] >> (i / 32) & 1;
    value(i, step, (TwoBits(block.codes, i) | high << 2) - 4);
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};
// Of part 0-7 of Q4_K and Q5_K: the first four whole, the others cut into four and two bits.
ScaleAndMinimum PartOf(const uint8_t (&parts)[12], int part) {
  if (part < 4) return {parts[part] & 63, parts[part + 4] & 63};
  return {Low(parts[part + 4]) | parts[part - 4] >> 6 << 4,
          High(parts[part + 4]) | parts[part] >> 6 << 4};
}

// Code i of a super-block of Q4_K, without the fifth bit of Q5_K.
int FourBitsOfSuperBlock(const uint8_t (&nibbles)[128], int i) {
  const uint8_t byte = nibbles[i / 64 * 32 + i % 32];
  return i % 64 < 32 ? Low(byte) : High(byte);
}

template <typename F>
void ForEachValue(const BlockQ4_K& block, F value) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMinimum part = PartOf(block.parts, i / 32);
    const float step = scale * static_cast<float>(part.scale);
    const float minimum = min_scale * static_cast<float>(part.minimum);
    value(i, step, FourBitsOfSuperBlock(block.nibbles, i), -minimum);
  }
}

template <typename F>
void ForEachValue(const BlockQ5_K& block, F value) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMinimum part = PartOf(block.parts, i / 32);
    const float step = scale * static_cast<float>(part.scale);
    const float minimum = min_scale * static_cast<float>(part.minimum);
    const int high = block.high_bits[i % 32] >> (i / 32) & 1;
    const int code = FourBitsOfSuperBlock(block.nibbles, i) | high << 4;
    value(i, step, code, -minimum);
  }
}

template <typename F>
void ForEachValue(const BlockQ6_K& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t byte = block.nibbles[i / 128 * 64 + i % 64];
    const int low = i % 128 < 64 ? Low(byte) : High(byte);
    const int code = low | TwoBits(block.high_pairs, i) << 4;
    const float step = scale * static_cast<float>(block.parts[i / 16]);
    value(i, step, code - 32);
  }
}

template <typename F>
void ForEachValue(const BlockIQ4_XS& block, F value) {
  const float scale = ToFloat(block.scale);
  for (int part = 0; part < 8; ++part) {
    const uint8_t byte = block.parts_low[part / 2];
    const int low = part % 2 == 0 ? Low(byte) : High(byte);
    const int high = block.parts_high[part / 4] >> (part % 4 * 2) & 3;
    const float step = scale * static_cast<float>((low | high << 4) - 32);
    for (int i = 0; i < 32; ++i) {
      const int code = FourBits(block.nibbles + 16 * part, i);
      value(32 * part + i, step, kIq4Values[code]);
    }
  }
}

// What is done with a value: its float, or its code beside the step and offset of its part.
struct ToFloats {
  float* out;
  void operator()(int i, float step, int code) const { out[i] = step * static_cast<float>(code); }
  void operator()(int i, float step, int code, float offset) const {
    out[i] = step * static_cast<float>(code) + offset;
  }
};
template <int kPart>
struct ToCodes {
  BlockCodes out;
  void operator()(int i, float step, int code) const {
    out.codes[i] = static_cast<int8_t>(code);
    out.steps[i / kPart] = step;
  }
  void operator()(int i, float step, int code, float offset) const {
    (*this)(i, step, code);
    out.offsets[i / kPart] = offset;
  }
};

// Calls fn(block, index of its first element) for the blocks of n elements.
template <typename Block, typename F>
void ForEachBlock(const std::byte* row, size_t n, int block_elements, F fn) {
  for (size_t first = 0; first < n; first += static_cast<size_t>(block_elements)) {
    Block block;
    std::memcpy(&block, row, sizeof(block));
    fn(block, first);
    row += sizeof(block);
  }
}

template <DType dtype, typename Block>
void DequantiseAll(const std::byte* row, std::span<float> out) {
  static_assert(sizeof(Block) == Info(dtype).block_bytes);
  ForEachBlock<Block>(
      row, out.size(), Info(dtype).block_elements,
      [&](const Block& block, size_t first) { ForEachValue(block, ToFloats{out.data() + first}); });
}

template <DType dtype, typename Block>
void UnpackAll(const std::byte* row, size_t n, const BlockCodes& out) {
  constexpr CodeInfo kCodes = CodesOf(dtype);
  ForEachBlock<Block>(row, n, Info(dtype).block_elements, [&](const Block& block, size_t first) {
    const size_t part = first / kCodes.part;
    float* offsets = kCodes.has_offset ? out.offsets + part : nullptr;
    ForEachValue(block, ToCodes<kCodes.part>{{out.codes + first, out.steps + part, offsets}});
  });
}

}  // namespace

void DequantiseBlocks(DType dtype, const std::byte* row, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no blocks
#define MOESCOPE_CASE(type, ...) \
  case DType::k##type:           \
    return DequantiseAll<DType::k##type, Block##type>(row, out);
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
  }
}

void UnpackBlocks(DType dtype, const std::byte* row, size_t n, const BlockCodes& out) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no codes
#define MOESCOPE_CASE(type, ...) \
  case DType::k##type:           \
    return UnpackAll<DType::k##type, Block##type>(row, n, out);
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
  }
}

}  // namespace moescope
