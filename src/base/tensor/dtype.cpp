#include "base/tensor/dtype.h"

#include "base/bytes.h"

namespace moescope {

std::optional<uint64_t> RowBytes(DType dtype, uint64_t n) {
  const DTypeInfo& info = Info(dtype);
  if (n % static_cast<uint64_t>(info.block_elements) != 0) return std::nullopt;
  return CheckedMultiply(n / static_cast<uint64_t>(info.block_elements),
                         static_cast<uint64_t>(info.block_bytes));
}

float F16ToF32(uint16_t bits) {
  uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  uint32_t exponent = (bits >> 10) & 0x1f;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  }
  // A subnormal is mantissa x 2^-24; shift it until its leading bit is implicit. Done on integers
  // so that flush-to-zero cannot touch it.
  if (mantissa == 0) return std::bit_cast<float>(sign);
  int shift = std::countl_zero(mantissa) - 21;
  mantissa = (mantissa << shift) & 0x3ff;
  return std::bit_cast<float>(sign | (static_cast<uint32_t>(113 - shift) << 23) | (mantissa << 13));
}

uint16_t F32ToBF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

uint16_t F32ToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00;  // rounds to 2^16 or more: infinity
  if (magnitude >= 0x38800000u) {                      // normal: rebias, round the 13 lost bits
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
  if (magnitude < 0x33000000u) return sign;  // below half of the smallest subnormal
  uint32_t exponent = magnitude >> 23;
  uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  uint32_t shift = 126 - exponent;  // 14..24 bits fall off
  uint32_t half = 1u << (shift - 1);
  uint32_t rounded = (mantissa + half - 1 + ((mantissa >> shift) & 1)) >> shift;
  return static_cast<uint16_t>(sign | rounded);
}

}  // namespace moescope
