#include "base/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/tensor/convert_rows.h"

namespace moescope {
namespace {

TEST(DType, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto half = static_cast<uint16_t>(bits);
    float value = F16ToF32(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value))));
    } else {
      ASSERT_EQ(F32ToF16(value), half);
    }
    if (!std::isnan(BF16ToF32(half))) {
      ASSERT_EQ(F32ToBF16(BF16ToF32(half)), half);
    }
  }
}

TEST(DType, HalvesHaveTheValuesOfIeee754) {
  EXPECT_EQ(F16ToF32(0x3c00), 1.0f);
  EXPECT_EQ(F16ToF32(0xc000), -2.0f);
  EXPECT_EQ(F16ToF32(0x7bff), 65504.0f);
  EXPECT_EQ(F16ToF32(0x0001), 0x1p-24f);
  EXPECT_EQ(F16ToF32(0x03ff), 0x3ffp-24f);
  EXPECT_TRUE(std::isinf(F16ToF32(0x7c00)));
}

TEST(DType, RoundsTiesToEven) {
  EXPECT_EQ(F32ToF16(1.0f + 0x1p-11f), 0x3c00);      // halfway, down to even
  EXPECT_EQ(F32ToF16(1.0f + 3 * 0x1p-11f), 0x3c02);  // halfway, up to even
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);             // rounds to infinity
  EXPECT_EQ(F32ToF16(0x1p-25f), 0x0000);             // half of the smallest, to even
  EXPECT_EQ(F32ToF16(std::nextafter(0x1p-25f, 1.0f)), 0x0001);
  EXPECT_EQ(F32ToBF16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(F32ToBF16(1.0f + 3 * 0x1p-8f), 0x3f82);
}

TEST(DType, Q8_0KeepsEveryValueWithinHalfAStep) {
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * 3;
  std::vector<std::byte> row(*RowBytes(DType::kQ8_0, values.size()));
  std::vector<float> back(values.size());
  QuantiseRow(DType::kQ8_0, values, row.data());
  DequantiseRow(DType::kQ8_0, row.data(), back);
  // Half a step of 3/127, plus the rounding of the scale to binary16 (2^-11 relative).
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(back[i], values[i], 3.0 / 254 + 3 * 0x1p-11);
}

TEST(DType, RowBytesRefusesPartialBlocksAndOverflow) {
  EXPECT_EQ(RowBytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(RowBytes(DType::kQ8_0, 33), std::nullopt);
  EXPECT_EQ(RowBytes(DType::kMXFP4, 64), 34u);
  EXPECT_EQ(RowBytes(DType::kQ6_K, 512), 420u);
  EXPECT_EQ(RowBytes(DType::kIQ4_XS, 32), std::nullopt);  // super-blocks have 256
  EXPECT_EQ(RowBytes(DType::kF32, std::numeric_limits<uint64_t>::max()), std::nullopt);
}

}  // namespace
}  // namespace moescope
