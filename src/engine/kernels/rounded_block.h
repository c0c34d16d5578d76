// Activations of precision `fast`: 32 values as whole numbers of -127 to 127 and one scale.
// Rounding and its error: docs/numerics.md.
#pragma once

#include <cstdint>
#include <cstring>

namespace moescope::engine {

inline constexpr int kRoundedValues = 32;

// Value i is nearly scale * codes[i].
struct RoundedBlock {
  int8_t codes[kRoundedValues];
  float scale;       // NaN where a value of the block is not finite
  float scaled_sum;  // scale times the sum of all codes
  int16_t sums[2];   // of the codes of each half
};
static_assert(sizeof(RoundedBlock) == 44);

// codes = value * inverse, rounded to nearest, ties to even.
struct RoundingScale {
  float scale, inverse;  // inverse 0: all codes are 0
};
// From the bits of the block's largest magnitude; those of NaN and infinity are above all others.
// Below 2^-100, where 127 over it could overflow, a block is zeros. Internal to each file, so that
// no level's copy serves another.
static inline RoundingScale RoundingScaleOf(uint32_t largest_bits) {
  constexpr uint32_t kSmallest = (127u - 100) << 23, kInfinity = 0x7f800000, kNan = 0x7fc00000;
  if (largest_bits < kSmallest) return {0, 0};
  if (largest_bits >= kInfinity) largest_bits = kNan;
  float largest;
  std::memcpy(&largest, &largest_bits, sizeof(largest));
  if (largest_bits == kNan) return {largest, 0};
  return {largest / 127, 127 / largest};
}

}  // namespace moescope::engine
