// Precision `fast` at every level this machine has: products of rounded activations to the bit
// against the scalar level, for every type and shape with tails, and the scalar level against
// double.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/platform/cpu.h"
#include "base/tensor/block_codes.h"
#include "base/tensor/convert_rows.h"
#include "base/tensor/random_row.h"
#include "engine/kernels/avx512_vnni/kernels.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {
namespace {

constexpr double kUnit = 1.0 / (1 << 24);

std::vector<DType> TypesWithCodes() {
  std::vector<DType> types;
  for (int i = 0; i < kNDTypes; ++i) {
    if (CodesOf(static_cast<DType>(i)).part > 0) types.push_back(static_cast<DType>(i));
  }
  return types;
}

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<RoundedBlock> Rounded(const RoundedKernels& kernels, const std::vector<float>& x,
                                  int n_rows, int k) {
  std::vector<RoundedBlock> blocks(static_cast<size_t>(n_rows * k / kRoundedValues));
  kernels.round(x.data(), static_cast<size_t>(k), blocks.data(), n_rows, k);
  return blocks;
}

const RoundedKernels& Scalar() {
  return KernelsFor(KernelLevel::kScalar)->rounded;
}

// Weights of a type at an odd address, some bytes between rows.
struct Weights {
  static constexpr size_t kShift = 3, kGap = 5;
  DType dtype;
  int n_cols, k;
  size_t row_bytes;
  std::vector<std::byte> bytes;

  Weights(DType type, int columns, int terms, uint32_t seed)
      : dtype(type), n_cols(columns), k(terms), row_bytes(RowBytes(type, terms).value()) {
    const auto all = RandomRow(type, static_cast<uint64_t>(columns) * terms, seed);
    bytes.resize(kShift + stride() * static_cast<size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      std::memcpy(bytes.data() + kShift + stride() * c, all.data() + row_bytes * c, row_bytes);
    }
  }
  size_t stride() const { return row_bytes + kGap; }
  const std::byte* data() const { return bytes.data() + kShift; }
};

std::vector<float> Multiplied(const RoundedKernels& kernels, const std::vector<RoundedBlock>& x,
                              const Weights& w, int n_rows) {
  const size_t out_stride = static_cast<size_t>(w.n_cols) + 2;
  std::vector<float> out(static_cast<size_t>(n_rows) * out_stride, 55);
  kernels.multiply(w.dtype, x.data(), w.data(), w.stride(), out.data(), out_stride, n_rows,
                   w.n_cols, w.k);
  for (int r = 0; r < n_rows; ++r) {  // nothing beyond a row
    EXPECT_EQ(out[r * out_stride + w.n_cols], 55);
    EXPECT_EQ(out[r * out_stride + w.n_cols + 1], 55);
  }
  return out;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::isnan(x) ? std::isnan(y)
                                : std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
         });
}

struct Level {
  const char* name;
  const RoundedKernels* kernels;  // null: this machine lacks it
};

const RoundedKernels* RoundedOf(KernelLevel level) {
  const KernelTable* table = KernelsFor(level);
  return table == nullptr ? nullptr : &table->rounded;
}

// SIMDe's products, with the rounding of the scalar level.
const RoundedKernels* Emulated() {
  static const RoundedKernels kernels = {.round = Scalar().round,
                                         .multiply = EmulatedVnniKernels()->multiply,
                                         .peak = EmulatedVnniKernels()->peak};
  return &kernels;
}

class RoundedKernelsOf : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    kernels_ = GetParam().kernels;
    if (kernels_ == nullptr) GTEST_SKIP() << "this machine lacks the level";
  }
  const RoundedKernels* kernels_ = nullptr;
};

TEST_P(RoundedKernelsOf, RoundToTheBitsOfTheScalarLevel) {
  const int k = 1024;
  std::vector<float> x = Random(k, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
  x[70] = nan, x[100] = infinity, x[130] = -infinity, x[131] = nan;
  for (int i = 160; i < 192; ++i) x[i] *= 0x1p-104f;  // below the smallest block
  for (int i = 192; i < 224; ++i) x[i] *= 0x1p-100f;  // and just above it
  for (int i = 224; i < 256; ++i) x[i] *= 1e37f;
  for (int i = 256; i < 288; ++i) x[i] = static_cast<float>(i - 256) + 0.5f;  // ties
  x[287] = 127;
  for (int i = 288; i < 320; ++i) x[i] = i % 2 == 0 ? 3.0f : -3.0f;  // all of the largest
  const auto found = Rounded(*kernels_, x, 1, k), expected = Rounded(Scalar(), x, 1, k);
  for (size_t b = 0; b < expected.size(); ++b) {
    EXPECT_EQ(std::memcmp(found[b].codes, expected[b].codes, sizeof(expected[b].codes)), 0) << b;
    EXPECT_TRUE(SameBits({found[b].scale, found[b].scaled_sum},
                         {expected[b].scale, expected[b].scaled_sum}))
        << b;
    EXPECT_EQ(found[b].sums[0], expected[b].sums[0]) << b;
    EXPECT_EQ(found[b].sums[1], expected[b].sums[1]) << b;
  }
  EXPECT_EQ(expected[8].codes[0], 0);  // 0.5 of a scale of 1: ties to even
  EXPECT_EQ(expected[8].codes[1], 2);
  EXPECT_TRUE(std::isnan(expected[2].scale) && std::isnan(expected[3].scale));
  EXPECT_EQ(expected[5].scale, 0);
  EXPECT_GT(expected[6].scale, 0);
}

TEST_P(RoundedKernelsOf, ProductsHaveTheBitsOfTheScalarLevelForEveryTypeAndShape) {
  struct Shape {
    int n_rows, n_cols, k;
  };
  const Shape shapes[] = {{1, 1, 256},  {1, 16, 512},  {2, 8, 1024},  {3, 17, 1280}, {4, 33, 256},
                          {5, 31, 768}, {7, 64, 2304}, {16, 9, 1024}, {13, 70, 256}};
  for (DType dtype : TypesWithCodes()) {
    for (const auto& [n_rows, n_cols, k] : shapes) {
      const Weights w(dtype, n_cols, k, static_cast<uint32_t>(n_cols));
      const auto x = Rounded(Scalar(), Random(static_cast<size_t>(n_rows * k), 2), n_rows, k);
      EXPECT_TRUE(SameBits(Multiplied(*kernels_, x, w, n_rows), Multiplied(Scalar(), x, w, n_rows)))
          << Name(dtype) << " " << n_rows << " x " << n_cols << " x " << k;
    }
  }
}

// Types of 32 values a block end anywhere.
TEST_P(RoundedKernelsOf, ProductsOfShortRowsHaveTheBitsOfTheScalarLevel) {
  for (DType dtype : TypesWithCodes()) {
    if (Info(dtype).block_elements != 32) continue;
    for (int k : {32, 64, 96, 160, 992, 1056}) {
      const Weights w(dtype, 19, k, 7);
      const auto x = Rounded(Scalar(), Random(static_cast<size_t>(6 * k), 3), 6, k);
      EXPECT_TRUE(SameBits(Multiplied(*kernels_, x, w, 6), Multiplied(Scalar(), x, w, 6)))
          << Name(dtype) << " " << k;
    }
  }
}

// The largest and smallest codes on both sides, where 16 bits overflow first.
TEST_P(RoundedKernelsOf, ExtremeCodesDoNotOverflow) {
  const int k = 1024, n_cols = 33, n_rows = 5;
  for (DType dtype : TypesWithCodes()) {
    for (int fill : {0x00, 0xff, 0x80, 0x7f}) {
      Weights w(dtype, n_cols, k, 5);
      const Weights valid = w;
      std::fill(w.bytes.begin(), w.bytes.end(), static_cast<std::byte>(fill));
      // Scales stay as they are: those of a random row are finite.
      const size_t block = static_cast<size_t>(Info(dtype).block_bytes);
      for (int c = 0; c < n_cols; ++c) {
        for (size_t at = 0; at < w.row_bytes; at += block) {
          const size_t from = Weights::kShift + w.stride() * c + at;
          auto keep = [&](size_t begin, size_t n) {
            std::copy_n(valid.bytes.begin() + from + begin, n, w.bytes.begin() + from + begin);
          };
          switch (dtype) {
            case DType::kQ2_K:
              keep(80, 4);
              break;
            case DType::kQ3_K:
              keep(108, 2);
              break;
            case DType::kQ6_K:
              keep(208, 2);
              break;
            case DType::kMXFP4:
              keep(0, 1);
              break;
            case DType::kQ8_0:
            case DType::kQ4_0:
            case DType::kQ5_0:
            case DType::kIQ4_NL:
              keep(0, 2);
              break;
            case DType::kIQ4_XS:
              keep(0, 8);
              break;
            default:
              keep(0, 4);
          }
        }
      }
      for (float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(static_cast<size_t>(n_rows * k), sign);
        const auto rounded = Rounded(Scalar(), x, n_rows, k);
        EXPECT_TRUE(SameBits(Multiplied(*kernels_, rounded, w, n_rows),
                             Multiplied(Scalar(), rounded, w, n_rows)))
            << Name(dtype) << " " << fill << " " << sign;
      }
    }
  }
}

TEST_P(RoundedKernelsOf, AnElementDependsOnlyOnItsRowAndColumn) {
  const int n_rows = 11, n_cols = 37, k = 1280;
  for (DType dtype : TypesWithCodes()) {
    const Weights w(dtype, n_cols, k, 9);
    const auto x = Rounded(*kernels_, Random(static_cast<size_t>(n_rows * k), 4), n_rows, k);
    const std::vector<float> all = Multiplied(*kernels_, x, w, n_rows);
    for (int r = 0; r < n_rows; r += 3) {
      for (int c = 0; c < n_cols; c += 5) {
        float one;
        kernels_->multiply(dtype, &x[static_cast<size_t>(r * k / 32)], w.data() + w.stride() * c,
                           w.stride(), &one, 1, 1, 1, k);
        EXPECT_EQ(std::bit_cast<uint32_t>(one),
                  std::bit_cast<uint32_t>(all[static_cast<size_t>(r * (n_cols + 2) + c)]))
            << Name(dtype);
      }
    }
  }
}

TEST_P(RoundedKernelsOf, NonFiniteActivationsReachTheirRowAlone) {
  const int n_rows = 3, n_cols = 20, k = 256;
  std::vector<float> x = Random(n_rows * k, 6);
  x[k + 77] = std::numeric_limits<float>::infinity();
  for (DType dtype : TypesWithCodes()) {
    const Weights w(dtype, n_cols, k, 10);
    const auto out = Multiplied(*kernels_, Rounded(*kernels_, x, n_rows, k), w, n_rows);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        EXPECT_EQ(std::isnan(out[static_cast<size_t>(r * (n_cols + 2) + c)]), r == 1)
            << Name(dtype);
      }
    }
  }
}

// Against products of the exact activations with the exact weights: each activation is wrong by at
// most half its block's scale, and a sum passes as many roundings as it has terms
// (docs/numerics.md).
TEST_P(RoundedKernelsOf, ProductsAgreeWithDoubleWithinTheBoundOfRounding) {
  const int n_rows = 3, n_cols = 18, k = 1536;
  std::vector<float> x = Random(n_rows * k, 8);
  for (float& value : x) value *= 0x1p-20f;  // MXFP4 reaches 2^130
  const auto rounded = Rounded(*kernels_, x, n_rows, k);
  for (DType dtype : TypesWithCodes()) {
    const Weights w(dtype, n_cols, k, 11);
    const auto out = Multiplied(*kernels_, rounded, w, n_rows);
    const CodeInfo info = CodesOf(dtype);
    std::vector<float> exact(k);
    std::vector<int8_t> codes(k);
    std::vector<float> steps(k / 16), offsets(k / 16);
    for (int c = 0; c < n_cols; ++c) {
      DequantiseRow(dtype, w.data() + w.stride() * c, exact);
      UnpackBlocks(dtype, w.data() + w.stride() * c, k,
                   {codes.data(), steps.data(), offsets.data()});
      for (int r = 0; r < n_rows; ++r) {
        double sum = 0, rounding = 0, size = 0;
        for (int i = 0; i < k; ++i) {
          const double scale = rounded[(r * k + i) / 32].scale;
          const double value = x[r * k + i];
          sum += value * exact[i];
          rounding += scale * (0.5 + 400 * kUnit) * std::abs(double{exact[i]});
          size += (std::abs(value) + scale / 2) *
                  (std::abs(double{steps[i / info.part]} * codes[i]) +
                   (info.has_offset ? std::abs(double{offsets[i / info.part]}) : 0));
        }
        const int terms = k / info.part * (info.has_offset ? 2 : 1);
        EXPECT_NEAR(out[static_cast<size_t>(r * (n_cols + 2) + c)], sum,
                    rounding + size * kUnit * (terms + 4))
            << Name(dtype);
      }
    }
  }
}

TEST_P(RoundedKernelsOf, AgreeWithSubnormalsFlushed) {
  const int n_rows = 3, n_cols = 20, k = 256;
  std::vector<float> x = Random(n_rows * k, 12);
  for (float& value : x) value *= 0x1p-95f;
  for (DType dtype : TypesWithCodes()) {
    const Weights w(dtype, n_cols, k, 13);
    const ScopedFlushToZero flush;
    const auto rounded = Rounded(*kernels_, x, n_rows, k);
    EXPECT_TRUE(SameBits(Multiplied(*kernels_, rounded, w, n_rows),
                         Multiplied(Scalar(), rounded, w, n_rows)))
        << Name(dtype);
  }
}

TEST(UnpackBlocks, GivesTheFactorsOfDequantisedValuesForEveryType) {
  for (DType dtype : TypesWithCodes()) {
    const size_t n = 1024;
    const auto row = RandomRow(dtype, n, 14);
    const CodeInfo info = CodesOf(dtype);
    std::vector<float> values(n), steps(n / info.part), offsets(n / info.part);
    std::vector<int8_t> codes(n);
    DequantiseRow(dtype, row.data(), values);
    UnpackBlocks(dtype, row.data(), n, {codes.data(), steps.data(), offsets.data()});
    for (size_t i = 0; i < n; ++i) {
      const size_t part = i / info.part;
      float value = steps[part] * static_cast<float>(codes[i]);
      if (info.has_offset) value = value + offsets[part];
      EXPECT_EQ(value, values[i]) << Name(dtype) << " " << i;
      EXPECT_GE(codes[i] + info.zero, 0) << Name(dtype);
      EXPECT_LE(codes[i] + info.zero, info.largest) << Name(dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, RoundedKernelsOf,
                         testing::Values(Level{"scalar", RoundedOf(KernelLevel::kScalar)},
                                         Level{"avx2", RoundedOf(KernelLevel::kAvx2)},
                                         Level{"avx512", RoundedOf(KernelLevel::kAvx512)},
                                         Level{"avx512_vnni_emulated", Emulated()}),
                         [](const auto& level) { return std::string(level.param.name); });

}  // namespace
}  // namespace moescope::engine
