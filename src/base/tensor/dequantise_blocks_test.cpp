#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform/cpu.h"
#include "base/platform/file.h"
#include "base/tensor/convert_rows.h"
#include "base/tensor/random_row.h"

namespace moescope {
namespace {

std::vector<float> Dequantised(DType dtype, const std::vector<std::byte>& row) {
  const DTypeInfo& info = Info(dtype);
  std::vector<float> values(row.size() / static_cast<size_t>(info.block_bytes) *
                            static_cast<size_t>(info.block_elements));
  DequantiseRow(dtype, row.data(), values);
  return values;
}

uint32_t Bits(float value) {
  return std::bit_cast<uint32_t>(value);
}

// A block of zeros with some bytes set.
struct Byte {
  size_t at;
  int value;
};
std::vector<float> ValuesOf(DType dtype, std::initializer_list<Byte> bytes) {
  std::vector<std::byte> block(static_cast<size_t>(Info(dtype).block_bytes));
  for (Byte byte : bytes) block.at(byte.at) = static_cast<std::byte>(byte.value);
  return Dequantised(dtype, block);
}

// In binary16, 1 is the bytes 00 3c and 2 is 00 40.
TEST(DequantiseBlocks, FourAndFiveBitsAreTwoHalvesOfABlock) {
  auto v = ValuesOf(DType::kQ4_0, {{1, 0x3c}, {2, 0xf1}});
  EXPECT_EQ(v[0], -7);
  EXPECT_EQ(v[1], -8);
  EXPECT_EQ(v[16], 7);
  v = ValuesOf(DType::kQ4_1, {{1, 0x40}, {3, 0x3c}, {4 + 15, 0x3c}});
  EXPECT_EQ(v[15], 2 * 12 + 1);
  EXPECT_EQ(v[31], 2 * 3 + 1);
  v = ValuesOf(DType::kQ5_0, {{1, 0x3c}, {2, 0x02}, {5, 0x80}, {6 + 1, 0x03}});
  EXPECT_EQ(v[0], -16);
  EXPECT_EQ(v[1], 3);
  EXPECT_EQ(v[31], 0);
  v = ValuesOf(DType::kQ5_1, {{1, 0x3c}, {3, 0x3c}, {6, 0x01}, {8, 0x20}});
  EXPECT_EQ(v[0], 1);
  EXPECT_EQ(v[16], 16 + 2 + 1);
}

TEST(DequantiseBlocks, UnevenStepsComeFromTheirTables) {
  auto v = ValuesOf(DType::kIQ4_NL, {{1, 0x3c}, {2, 0xf8}});
  EXPECT_EQ(v[0], 1);
  EXPECT_EQ(v[16], 113);
  EXPECT_EQ(v[31], -127);
  v = ValuesOf(DType::kMXFP4, {{0, 127}, {1, 0xf7}, {2, 0x81}});
  EXPECT_EQ(v[0], 6);
  EXPECT_EQ(v[16], -6);
  EXPECT_EQ(v[1], 0.5f);
  EXPECT_EQ(Bits(v[17]), 0u);  // -0 of the format
}

TEST(DequantiseBlocks, PartsOfASuperBlockHaveTheirOwnScales) {
  // Scale 1, minimum scale 2; part 15 (values 240-255): scale 3, minimum 5.
  auto v = ValuesOf(DType::kQ2_K, {{15, 0x53}, {16 + 63, 0x80}, {81, 0x3c}, {83, 0x40}});
  EXPECT_EQ(v[255], 3 * 2 - 10);
  EXPECT_EQ(v[240], -10);
  EXPECT_EQ(v[239], 0);
  // Part 9: 6 bits of scale from the high nibble of byte 1 and bits 4-5 of byte 9.
  v = ValuesOf(DType::kQ3_K, {{32 + 32 + 16, 0x02}, {96 + 1, 0x50}, {96 + 9, 0x30}, {109, 0x3c}});
  EXPECT_EQ(v[144], (5 + 48 - 32) * (2 - 4));
  v = ValuesOf(DType::kQ3_K, {{16, 0x10}, {96 + 1, 0x50}, {96 + 9, 0x30}, {109, 0x3c}});
  EXPECT_EQ(v[144], 0);  // its third bit is bit 4 of byte 16
  // Part 5: scale and minimum from byte 9 and the upper bits of bytes 1 and 5.
  v = ValuesOf(
      DType::kQ4_K,
      {{1, 0x3c}, {3, 0x3c}, {4 + 1, 0x40}, {4 + 5, 0x80}, {4 + 9, 0x21}, {16 + 64, 0x90}});
  EXPECT_EQ(v[160], 17 * 9 - 34);
  v = ValuesOf(DType::kQ5_K, {{1, 0x3c}, {4 + 2, 63}, {16 + 31, 0x04}, {48 + 63, 0x01}});
  EXPECT_EQ(v[95], 63 * 17);
  v = ValuesOf(DType::kQ6_K, {{64 + 63, 0x70}, {128 + 63, 0x80}, {192 + 15, 0xfe}, {209, 0x3c}});
  EXPECT_EQ(v[255], -2 * ((7 | 2 << 4) - 32));
  // Part 6: scale 3 + 16 - 32, entries 0 and 15.
  v = ValuesOf(DType::kIQ4_XS, {{1, 0x3c}, {3, 0x10}, {7, 0x03}, {8 + 96, 0xf0}});
  EXPECT_EQ(v[192], -13 * -127);
  EXPECT_EQ(v[208], -13 * 113);
}

TEST(DequantiseBlocks, ARowIsItsBlocksAtAnyAddress) {
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const auto elements = static_cast<size_t>(Info(dtype).block_elements);
    const auto bytes = static_cast<size_t>(Info(dtype).block_bytes);
    std::vector<std::byte> row = RandomRow(dtype, 5 * elements, 1);
    const std::vector<float> whole = Dequantised(dtype, row);
    row.insert(row.begin(), std::byte{0});
    for (size_t block = 0; block < 5; ++block) {
      std::vector<float> values(elements);
      DequantiseRow(dtype, row.data() + 1 + block * bytes, values);
      EXPECT_EQ(std::memcmp(values.data(), whole.data() + block * elements, elements * 4), 0)
          << Name(dtype) << " block " << block;
    }
  }
}

// What docs/numerics.md says of workers, which flush subnormals to zero.
TEST(DequantiseBlocks, FlushingSubnormalsChangesOnlyTheSmallestOfMxfp4) {
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const auto row = RandomRow(dtype, 256 * static_cast<uint64_t>(Info(dtype).block_elements), 2);
    if (dtype == DType::kMXFP4) continue;
    const std::vector<float> exact = Dequantised(dtype, row);
    const ScopedFlushToZero flush;
    const std::vector<float> flushed = Dequantised(dtype, row);
    EXPECT_EQ(std::memcmp(exact.data(), flushed.data(), exact.size() * 4), 0) << Name(dtype);
  }
  for (int exponent = 0; exponent < 256; ++exponent) {
    const auto exact = ValuesOf(DType::kMXFP4, {{0, exponent}, {1, 0x17}});  // 6 and 0.5
    const ScopedFlushToZero flush;
    const auto flushed = ValuesOf(DType::kMXFP4, {{0, exponent}, {1, 0x17}});
    EXPECT_EQ(Bits(flushed[0]), exponent < 2 ? 0 : Bits(exact[0])) << exponent;
    EXPECT_EQ(Bits(flushed[16]), exponent < 2 ? 0 : Bits(exact[16])) << exponent;
  }
}

TEST(DequantiseBlocks, OnlyFourTypesAreWritten) {
  std::vector<float> values(256);
  std::vector<std::byte> row(1024);
  int written = 0;
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (IsWritable(dtype)) {
      ++written;
      QuantiseRow(dtype, values, row.data());
    } else {
      EXPECT_THROW(QuantiseRow(dtype, values, row.data()), Error) << Name(dtype);
    }
  }
  EXPECT_EQ(written, 4);
}

// A safetensors file that is trusted: base does not include files/.
class Fixture {
 public:
  explicit Fixture(const std::string& path) : bytes_(ReadWholeFile(path, 1 << 24)) {
    uint64_t header_bytes;
    std::memcpy(&header_bytes, bytes_.data(), sizeof(header_bytes));
    const char* text = bytes_.data() + 8;
    header_ = nlohmann::json::parse(text, text + header_bytes);
    data_ = 8 + header_bytes;
  }
  template <typename T>
  std::vector<T> Read(const std::string& name) const {
    const auto& offsets = header_.at(name).at("data_offsets");
    const size_t begin = offsets[0], end = offsets[1];
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + data_ + begin, end - begin);
    return values;
  }

 private:
  std::string bytes_;
  nlohmann::json header_;
  size_t data_ = 0;
};

TEST(DequantiseBlocks, FixtureBlocksHaveTheBitsOfTheReference) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) {
    std::cout << "skipped: no fixtures\n";
    GTEST_SKIP() << "skipped: no fixtures";
  }
  const Fixture fixture(std::string(fixtures) + "/models/quant-blocks/quant-blocks.safetensors");
  for (int i = 0; i < kNDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kF32) continue;
    const std::string name(Name(dtype));
    const auto expected = fixture.Read<float>("values." + name);
    const auto values = Dequantised(dtype, fixture.Read<std::byte>("blocks." + name));
    ASSERT_EQ(values.size(), expected.size()) << name;
    for (size_t k = 0; k < values.size(); ++k) {
      ASSERT_EQ(Bits(values[k]), Bits(expected[k])) << name << " value " << k;
    }
  }
}

}  // namespace
}  // namespace moescope
