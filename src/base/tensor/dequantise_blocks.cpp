#include "base/tensor/dequantise_blocks.h"

#include <bit>
#include <cstring>

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

void Dequantise(const BlockQ4_0& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(FourBits(block.nibbles, i) - 8);
  }
}

void Dequantise(const BlockQ4_1& block, float* out) {
  const float scale = ToFloat(block.scale), offset = ToFloat(block.offset);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(FourBits(block.nibbles, i)) + offset;
  }
}

void Dequantise(const BlockQ5_0& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(FiveBits(block.nibbles, block.high_bits, i) - 16);
  }
}

void Dequantise(const BlockQ5_1& block, float* out) {
  const float scale = ToFloat(block.scale), offset = ToFloat(block.offset);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(FiveBits(block.nibbles, block.high_bits, i)) + offset;
  }
}

void Dequantise(const BlockQ8_0& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(block.values[i]);
}

void Dequantise(const BlockIQ4_NL& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(kIq4Values[FourBits(block.nibbles, i)]);
  }
}

// 2^(exponent - 128), of which the first two are subnormal.
float HalvedPowerOfTwo(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t{exponent} - 1) << 23;
  return std::bit_cast<float>(bits);
}

void Dequantise(const BlockMXFP4& block, float* out) {
  const float scale = HalvedPowerOfTwo(block.exponent);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(kMxfp4Values[FourBits(block.nibbles, i)]);
  }
}

// Two bits of value i of a super-block: groups of 128, four values to a byte.
int TwoBits(const uint8_t* codes, int i) {
  return codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

void Dequantise(const BlockQ2_K& block, float* out) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t part = block.parts[i / 16];
    const float step = scale * static_cast<float>(Low(part));
    const float minimum = min_scale * static_cast<float>(High(part));
    out[i] = step * static_cast<float>(TwoBits(block.codes, i)) - minimum;
  }
}

int PartScale(const BlockQ3_K& block, int part) {
  const uint8_t byte = block.parts[part % 8];
  const int low = part < 8 ? Low(byte) : High(byte);
  return low | (block.parts[8 + part % 4] >> (part / 4 * 2) & 3) << 4;
}

void Dequantise(const BlockQ3_K& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const float step = scale * static_cast<float>(PartScale(block, i / 16) - 32);
    const int high = block.high_bits[i % 32] >> (i / 32) & 1;
    out[i] = step * static_cast<float>((TwoBits(block.codes, i) | high << 2) - 4);
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

void Dequantise(const BlockQ4_K& block, float* out) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMinimum part = PartOf(block.parts, i / 32);
    const float step = scale * static_cast<float>(part.scale);
    const float minimum = min_scale * static_cast<float>(part.minimum);
    out[i] = step * static_cast<float>(FourBitsOfSuperBlock(block.nibbles, i)) - minimum;
  }
}

void Dequantise(const BlockQ5_K& block, float* out) {
  const float scale = ToFloat(block.scale), min_scale = ToFloat(block.min_scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMinimum part = PartOf(block.parts, i / 32);
    const float step = scale * static_cast<float>(part.scale);
    const float minimum = min_scale * static_cast<float>(part.minimum);
    const int high = block.high_bits[i % 32] >> (i / 32) & 1;
    const int code = FourBitsOfSuperBlock(block.nibbles, i) | high << 4;
    out[i] = step * static_cast<float>(code) - minimum;
  }
}

void Dequantise(const BlockQ6_K& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t byte = block.nibbles[i / 128 * 64 + i % 64];
    const int low = i % 128 < 64 ? Low(byte) : High(byte);
    const int code = low | TwoBits(block.high_pairs, i) << 4;
    const float step = scale * static_cast<float>(block.parts[i / 16]);
    out[i] = step * static_cast<float>(code - 32);
  }
}

void Dequantise(const BlockIQ4_XS& block, float* out) {
  const float scale = ToFloat(block.scale);
  for (int part = 0; part < 8; ++part) {
    const uint8_t byte = block.parts_low[part / 2];
    const int low = part % 2 == 0 ? Low(byte) : High(byte);
    const int high = block.parts_high[part / 4] >> (part % 4 * 2) & 3;
    const float step = scale * static_cast<float>((low | high << 4) - 32);
    for (int i = 0; i < 32; ++i) {
      const int code = FourBits(block.nibbles + 16 * part, i);
      out[32 * part + i] = step * static_cast<float>(kIq4Values[code]);
    }
  }
}

template <DType dtype, typename Block>
void DequantiseAll(const std::byte* row, std::span<float> out) {
  static_assert(sizeof(Block) == Info(dtype).block_bytes);
  for (size_t first = 0; first < out.size(); first += Info(dtype).block_elements) {
    Block block;
    std::memcpy(&block, row, sizeof(block));
    Dequantise(block, out.data() + first);
    row += sizeof(block);
  }
}

}  // namespace

void DequantiseBlocks(DType dtype, const std::byte* row, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no blocks
    case DType::kQ8_0:
      return DequantiseAll<DType::kQ8_0, BlockQ8_0>(row, out);
    case DType::kQ4_0:
      return DequantiseAll<DType::kQ4_0, BlockQ4_0>(row, out);
    case DType::kQ4_1:
      return DequantiseAll<DType::kQ4_1, BlockQ4_1>(row, out);
    case DType::kQ5_0:
      return DequantiseAll<DType::kQ5_0, BlockQ5_0>(row, out);
    case DType::kQ5_1:
      return DequantiseAll<DType::kQ5_1, BlockQ5_1>(row, out);
    case DType::kQ2_K:
      return DequantiseAll<DType::kQ2_K, BlockQ2_K>(row, out);
    case DType::kQ3_K:
      return DequantiseAll<DType::kQ3_K, BlockQ3_K>(row, out);
    case DType::kQ4_K:
      return DequantiseAll<DType::kQ4_K, BlockQ4_K>(row, out);
    case DType::kQ5_K:
      return DequantiseAll<DType::kQ5_K, BlockQ5_K>(row, out);
    case DType::kQ6_K:
      return DequantiseAll<DType::kQ6_K, BlockQ6_K>(row, out);
    case DType::kIQ4_NL:
      return DequantiseAll<DType::kIQ4_NL, BlockIQ4_NL>(row, out);
    case DType::kIQ4_XS:
      return DequantiseAll<DType::kIQ4_XS, BlockIQ4_XS>(row, out);
    case DType::kMXFP4:
      return DequantiseAll<DType::kMXFP4, BlockMXFP4>(row, out);
  }
}

}  // namespace moescope
