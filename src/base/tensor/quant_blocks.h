// Quantised blocks as GGUF stores them: fields in the order of their bytes, without alignment.
// What a code means: dequantise_blocks.cpp.
// Source: ggml's block layouts (ggml-common.h), GGUF spec.
#pragma once

#include <cstdint>

namespace moescope {

// The bits of an IEEE 754 binary16, little-endian, at any address.
struct StoredHalf {
  uint8_t bytes[2];
};

// In the types of 4 and 5 bits, byte i of a block holds the codes of values i (low) and 16 + i
// (high); bit i of `high_bits` is the fifth bit of value i.

// 32 values: code - 8, times the scale.
struct BlockQ4_0 {
  StoredHalf scale;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// 32 values: code times the scale, plus the offset.
struct BlockQ4_1 {
  StoredHalf scale;
  StoredHalf offset;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// 32 values: code - 16, times the scale.
struct BlockQ5_0 {
  StoredHalf scale;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// 32 values: code times the scale, plus the offset.
struct BlockQ5_1 {
  StoredHalf scale;
  StoredHalf offset;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// 32 values: a signed byte each, times the scale.
struct BlockQ8_0 {
  StoredHalf scale;
  int8_t values[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// 32 values: entry of kIq4Values, times the scale.
struct BlockIQ4_NL {
  StoredHalf scale;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// 32 values: entry of kMxfp4Values, times 2^(exponent - 128). Source: OCP Microscaling Formats 1.0.
struct BlockMXFP4 {
  uint8_t exponent;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

// Super-blocks: a part has a small whole number as its scale (and one as its minimum), which
// multiplies the super-block's own. Packed codes come in groups of 128 (2, 3 and 6 bits) or 64
// values (4 and 5 bits), two or four of a group to a byte, 32 values apart.

// 16 parts of 16: code times part's scale, minus its minimum.
struct BlockQ2_K {
  uint8_t parts[16];  // low nibble: scale; high nibble: minimum
  uint8_t codes[64];  // byte 32 g + i, bits 2 j: value 128 g + 32 j + i
  StoredHalf scale;
  StoredHalf min_scale;
};
static_assert(sizeof(BlockQ2_K) == 84);

// 16 parts of 16: code - 4, times part's scale - 32.
struct BlockQ3_K {
  uint8_t high_bits[32];  // byte i, bit b: third bit of value 32 b + i
  uint8_t codes[64];      // the lower two bits, as in Q2_K
  uint8_t parts[12];      // 6 bits a scale: four in bytes 0-7, the upper two in bytes 8-11
  StoredHalf scale;
};
static_assert(sizeof(BlockQ3_K) == 110);

// 8 parts of 32: code times part's scale, minus its minimum.
struct BlockQ4_K {
  StoredHalf scale;
  StoredHalf min_scale;
  uint8_t parts[12];     // 8 scales and 8 minima of 6 bits
  uint8_t nibbles[128];  // byte 32 g + i: values 64 g + i (low) and 64 g + 32 + i (high)
};
static_assert(sizeof(BlockQ4_K) == 144);

// 8 parts of 32: code times part's scale, minus its minimum.
struct BlockQ5_K {
  StoredHalf scale;
  StoredHalf min_scale;
  uint8_t parts[12];      // as in Q4_K
  uint8_t high_bits[32];  // byte i, bit b: fifth bit of value 32 b + i
  uint8_t nibbles[128];   // as in Q4_K
};
static_assert(sizeof(BlockQ5_K) == 176);

// 16 parts of 16: code - 32, times part's scale.
struct BlockQ6_K {
  uint8_t nibbles[128];    // byte 64 g + i: values 128 g + i (low) and 128 g + 64 + i (high)
  uint8_t high_pairs[64];  // byte 32 g + i, bits 2 j: upper two bits of value 128 g + 32 j + i
  int8_t parts[16];
  StoredHalf scale;
};
static_assert(sizeof(BlockQ6_K) == 210);

// 8 parts of 32: entry of kIq4Values, times part's scale - 32.
struct BlockIQ4_XS {
  StoredHalf scale;
  uint8_t parts_high[2];  // upper two bits of the parts' scales, four to a byte
  uint8_t parts_low[4];   // lower four bits, two to a byte
  uint8_t nibbles[128];   // byte 16 p + i: values 32 p + i (low) and 32 p + 16 + i (high)
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// Values of the codes whose steps are not even. Source: ggml-common.h (kvalues_iq4nl,
// kvalues_mxfp4). Not inline, so that kernels of a level define no symbol that others share.
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
// E2M1, doubled: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and the same with a minus, whose zero is +0 too.
constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// All of them, as X(type, part, zero, largest, has_offset): values that share a step and an offset;
// codes are at least -zero, and code + zero is at most `largest`; whether there is an offset.
#define MOESCOPE_QUANT_TYPES(X)  \
  X(Q8_0, 32, 128, 255, false)   \
  X(Q4_0, 32, 8, 15, false)      \
  X(Q4_1, 32, 0, 15, true)       \
  X(Q5_0, 32, 16, 31, false)     \
  X(Q5_1, 32, 0, 31, true)       \
  X(Q2_K, 16, 0, 3, true)        \
  X(Q3_K, 16, 4, 7, false)       \
  X(Q4_K, 32, 0, 15, true)       \
  X(Q5_K, 32, 0, 31, true)       \
  X(Q6_K, 16, 32, 63, false)     \
  X(IQ4_NL, 32, 128, 255, false) \
  X(IQ4_XS, 32, 128, 255, false) \
  X(MXFP4, 32, 12, 24, false)

}  // namespace moescope
