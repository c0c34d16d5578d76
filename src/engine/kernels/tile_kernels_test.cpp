// Products on tiles: to the bit against the definition written out here (docs/numerics.md), for
// every type and shape with tails, and against double. By the source with tiles in plain loops; by
// the machine code of level amx on a processor that has AMX, or has all but the tiles.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/tensor/convert_rows.h"
#include "base/tensor/random_row.h"
#include "engine/kernels/amx/kernels.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/trapped_tiles.h"

namespace moescope::engine {
namespace {

constexpr double kUnit = 1.0 / (1 << 24);
constexpr double kBFloatUnit = 1.0 / (1 << 9);  // half the distance of neighbours at 1

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

float Flushed(float value) {
  return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value;
}
float ToBFloat(float value) {
  return BF16ToF32(F32ToBF16(Flushed(value)));
}

// The definition: 32 values of k at a time, even and odd ones in a chain each.
float Product(const float* x, const float* w, int k) {
  float sum = 0;
  for (int begin = 0; begin < k; begin += 32) {
    float chains[2] = {};
    for (int i = begin; i < std::min(begin + 32, k); ++i) {
      chains[i % 2] = Flushed(std::fma(ToBFloat(x[i]), ToBFloat(w[i]), chains[i % 2]));
    }
    sum = Flushed(sum + Flushed(chains[0] + chains[1]));
  }
  return sum;
}

// Weights at an odd address, some bytes between rows.
struct Weights {
  static constexpr size_t kShift = 3, kGap = 5;
  DType dtype;
  int n_cols, k;
  size_t stride;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // [n_cols, k], exact

  Weights(DType type, int columns, int terms, uint32_t seed)
      : dtype(type),
        n_cols(columns),
        k(terms),
        stride(RowBytes(type, terms).value() + kGap),
        bytes(kShift + stride * static_cast<size_t>(columns)),
        values(static_cast<size_t>(columns) * static_cast<size_t>(terms)) {
    const std::vector<std::byte> all = RandomRow(type, values.size(), seed);
    DequantiseRow(type, all.data(), values);
    const size_t row_bytes = stride - kGap;
    for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
      std::memcpy(bytes.data() + kShift + stride * c, all.data() + row_bytes * c, row_bytes);
    }
  }
  const std::byte* row(int column) const {
    return bytes.data() + kShift + stride * static_cast<size_t>(column);
  }
};

std::vector<TileOfRows> Packed(const TileKernels& kernels, const std::vector<float>& x, int n_rows,
                               int k) {
  std::vector<TileOfRows> tiles(static_cast<size_t>(TilesOf(n_rows, k)));
  kernels.pack(x.data(), static_cast<size_t>(k), tiles.data(), n_rows, k);
  return tiles;
}

// [n_rows, n_cols]; looks for stores beyond a row.
std::vector<float> Multiplied(const TileKernels& kernels, const std::vector<float>& x,
                              const Weights& w, int n_rows) {
  const auto n_cols = static_cast<size_t>(w.n_cols), stride = n_cols + 2;
  std::vector<float> out(static_cast<size_t>(n_rows) * stride, 55), dense;
  kernels.multiply(w.dtype, Packed(kernels, x, n_rows, w.k).data(), w.row(0), w.stride, out.data(),
                   stride, n_rows, w.n_cols, w.k);
  for (size_t r = 0; r < static_cast<size_t>(n_rows); ++r) {
    const auto row = out.begin() + static_cast<ptrdiff_t>(r * stride);
    dense.insert(dense.end(), row, row + w.n_cols);
    EXPECT_EQ(row[w.n_cols], 55);
    EXPECT_EQ(row[w.n_cols + 1], 55);
  }
  return dense;
}

bool Same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

std::vector<DType> AllTypes() {
  std::vector<DType> types;
  for (int i = 0; i < kNDTypes; ++i) types.push_back(static_cast<DType>(i));
  return types;
}

struct Level {
  const char* name;
  const TileKernels* kernels;  // null: this machine lacks it
};

class TileKernelsOf : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    kernels_ = GetParam().kernels;
    if (kernels_ == nullptr) GTEST_SKIP() << "this machine lacks the level";
  }
  void ExpectDefinition(DType dtype, int n_rows, int n_cols, int k) const {
    const Weights w(dtype, n_cols, k, static_cast<uint32_t>(n_cols));
    const auto x = Random(static_cast<size_t>(n_rows * k), 2);
    const auto out = Multiplied(*kernels_, x, w, n_rows);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        const float expected =
            Product(&x[static_cast<size_t>(r * k)], &w.values[static_cast<size_t>(c * k)], k);
        ASSERT_TRUE(Same(out[static_cast<size_t>(r * n_cols + c)], expected))
            << Name(dtype) << " " << n_rows << " x " << n_cols << " x " << k << " at " << r << ", "
            << c << ": " << out[static_cast<size_t>(r * n_cols + c)] << " for " << expected;
      }
    }
  }
  const TileKernels* kernels_ = nullptr;
};

TEST_P(TileKernelsOf, PackRoundsToNearestEvenAndFillsUpWithZeros) {
  const int n_rows = 18, k = 35;
  std::vector<float> x = Random(n_rows * k, 1);
  x[0] = 1 + 0x1p-8f;       // a tie: to even, down
  x[1] = 1 + 3 * 0x1p-8f;   // and up
  x[2] = 1 + 0x1.0002p-8f;  // above a tie
  x[3] = 0x1.fffffcp-127f;  // subnormal: 0, though it would round to a normal number
  x[4] = -0x1p-149f;
  x[5] = std::numeric_limits<float>::infinity();
  x[6] = std::numeric_limits<float>::quiet_NaN();
  x[7] = std::numeric_limits<float>::max();  // rounds to infinity
  const auto tiles = Packed(*kernels_, x, n_rows, k);
  ASSERT_EQ(tiles.size(), 4u);
  for (int r = 0; r < 32; ++r) {
    for (int i = 0; i < 64; ++i) {
      const TileOfRows& tile = tiles[static_cast<size_t>(r / 16 * 2 + i / 32)];
      const uint16_t found = tile.pairs[i % 32 / 2][r % 16][i % 2];
      const float value = r < n_rows && i < k ? x[static_cast<size_t>(r * k + i)] : 0;
      EXPECT_TRUE(Same(BF16ToF32(found), ToBFloat(value))) << r << " " << i;
    }
  }
  EXPECT_EQ(tiles[0].pairs[0][0][0], 0x3f80);
  EXPECT_EQ(tiles[0].pairs[0][0][1], 0x3f82);
  EXPECT_EQ(tiles[0].pairs[1][0][0], 0x3f81);
  EXPECT_EQ(tiles[0].pairs[1][0][1], 0);
  EXPECT_EQ(tiles[0].pairs[2][0][0], 0x8000);
}

TEST_P(TileKernelsOf, ProductsHaveTheBitsOfTheDefinitionForEveryTypeAndShape) {
  struct Shape {
    int n_rows, n_cols, k;
  };
  const Shape shapes[] = {{1, 1, 256},   {16, 16, 256}, {17, 16, 512}, {16, 17, 768},
                          {33, 40, 768}, {40, 33, 256}, {3, 70, 1280}};
  for (DType dtype : AllTypes()) {
    for (const auto& [n_rows, n_cols, k] : shapes) ExpectDefinition(dtype, n_rows, n_cols, k);
  }
}

// Past what is computed together: 256 rows, 256 columns.
TEST_P(TileKernelsOf, ManyRowsAndColumnsHaveTheBitsOfTheDefinition) {
  for (DType dtype : {DType::kQ4_0, DType::kF16}) {
    ExpectDefinition(dtype, 261, 35, 544);
    ExpectDefinition(dtype, 5, 300, 544);
  }
}

TEST_P(TileKernelsOf, ProductsOfShortAndOddRowsHaveTheBitsOfTheDefinition) {
  for (DType dtype : AllTypes()) {
    if (Info(dtype).block_elements == 32) {
      for (int k : {32, 96, 544, 992}) ExpectDefinition(dtype, 6, 19, k);
    } else if (Info(dtype).block_elements == 1) {
      for (int k : {1, 2, 15, 16, 17, 31, 33, 47, 511, 513, 530}) {
        ExpectDefinition(dtype, 6, 19, k);
      }
    }
  }
}

TEST_P(TileKernelsOf, AnElementDependsOnlyOnItsRowAndColumn) {
  const int n_rows = 37, n_cols = 41, k = 768;
  for (DType dtype : AllTypes()) {
    const Weights w(dtype, n_cols, k, 9);
    const auto x = Random(n_rows * k, 4);
    const auto all = Multiplied(*kernels_, x, w, n_rows);
    for (int r = 0; r < n_rows; r += 6) {
      for (int c = 0; c < n_cols; c += 9) {
        const std::vector<float> row(x.begin() + r * k, x.begin() + (r + 1) * k);
        float one;
        kernels_->multiply(dtype, Packed(*kernels_, row, 1, k).data(), w.row(c), w.stride, &one, 1,
                           1, 1, k);
        EXPECT_TRUE(Same(one, all[static_cast<size_t>(r * n_cols + c)])) << Name(dtype);
      }
    }
  }
}

TEST_P(TileKernelsOf, NonFiniteActivationsReachTheirRowAlone) {
  const int n_rows = 20, n_cols = 20, k = 256;
  std::vector<float> x = Random(n_rows * k, 6);
  for (float& value : x) value *= 0x1p-20f;  // MXFP4 reaches 2^130
  x[3 * k + 77] = std::numeric_limits<float>::infinity();
  x[18 * k + 255] = std::numeric_limits<float>::quiet_NaN();
  for (DType dtype : AllTypes()) {
    const Weights w(dtype, n_cols, k, 10);
    const auto out = Multiplied(*kernels_, x, w, n_rows);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        EXPECT_EQ(std::isfinite(out[static_cast<size_t>(r * n_cols + c)]), r != 3 && r != 18)
            << Name(dtype) << " " << r << " " << c;
      }
    }
  }
}

// Sums of what float32 holds and a bfloat16 product does not: large terms that cancel, products
// below the smallest normal number.
TEST_P(TileKernelsOf, CancellingAndVanishingTermsHaveTheBitsOfTheDefinition) {
  const int n_rows = 16, n_cols = 16, k = 64;
  std::mt19937 random(21);
  for (int round = 0; round < 20; ++round) {
    std::vector<float> x(n_rows * k), w(n_cols * k);
    for (auto* values : {&x, &w}) {
      for (float& value : *values) {
        const auto bits = static_cast<uint32_t>(random());
        // Any sign and mantissa; exponents of 2^-100 to 2^62, so that products may vanish but no
        // sum overflows.
        value = std::ldexp(1 + static_cast<float>(bits & 127) / 128,
                           static_cast<int>(bits >> 8 & 1023) % 163 - 100);
        if ((bits & 128) != 0) value = -value;
      }
    }
    std::vector<float> out(n_rows * n_cols);
    kernels_->multiply(DType::kF32, Packed(*kernels_, x, n_rows, k).data(), w.data(),
                       k * sizeof(float), out.data(), n_cols, n_rows, n_cols, k);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        EXPECT_TRUE(
            Same(out[static_cast<size_t>(r * n_cols + c)], Product(&x[r * k], &w[c * k], k)))
            << r << " " << c;
      }
    }
  }
}

TEST_P(TileKernelsOf, ProductsWithColumnsHaveTheBitsOfTheDefinition) {
  struct Shape {
    int n_rows, n_cols, k;
  };
  for (const auto& [n_rows, n_cols, k] : std::vector<Shape>{{1, 1, 1},
                                                            {32, 96, 32},
                                                            {17, 33, 31},
                                                            {16, 16, 512},
                                                            {31, 70, 545},
                                                            {40, 300, 40},
                                                            {3, 12, 1100}}) {
    const size_t x_stride = k + 3, w_stride = n_cols + 1, out_stride = n_cols + 2;
    const auto x = Random(n_rows * x_stride, 14), w = Random(k * w_stride, 15);
    std::vector<float> out(n_rows * out_stride, 55), column(k);
    kernels_->multiply_columns(x.data(), x_stride, w.data(), w_stride, out.data(), out_stride,
                               n_rows, n_cols, k);
    for (int c = 0; c < n_cols; ++c) {
      for (int i = 0; i < k; ++i) column[i] = w[i * w_stride + c];
      for (int r = 0; r < n_rows; ++r) {
        ASSERT_TRUE(Same(out[r * out_stride + c], Product(&x[r * x_stride], column.data(), k)))
            << n_rows << " x " << n_cols << " x " << k << " at " << r << ", " << c;
        EXPECT_EQ(out[r * out_stride + n_cols], 55);  // nothing beyond the row
      }
    }
  }
}

// Against products of the exact activations with the exact weights (docs/numerics.md).
TEST_P(TileKernelsOf, ProductsAgreeWithDoubleWithinTheBoundOfRounding) {
  const int n_rows = 19, n_cols = 18, k = 1536;
  std::vector<float> x = Random(n_rows * k, 8);
  for (float& value : x) value *= 0x1p-20f;  // MXFP4 reaches 2^130
  for (DType dtype : AllTypes()) {
    const Weights w(dtype, n_cols, k, 11);
    const auto out = Multiplied(*kernels_, x, w, n_rows);
    const double of_weights = dtype == DType::kBF16 ? 0 : kBFloatUnit;
    const double of_terms = (1 + kBFloatUnit) * (1 + of_weights);
    const int roundings = k / 32 + 17;
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        double sum = 0, size = 0, flushed = 0;
        for (int i = 0; i < k; ++i) {
          const double a = x[static_cast<size_t>(r * k + i)];
          const double b = w.values[static_cast<size_t>(c * k + i)];
          sum += a * b, size += std::abs(a * b);
          flushed += 0x1p-126 * (std::abs(a) + std::abs(b) + 2);
        }
        EXPECT_NEAR(out[static_cast<size_t>(r * n_cols + c)], sum,
                    size * (of_terms - 1 + of_terms * roundings * kUnit) + flushed)
            << Name(dtype);
      }
    }
  }
}

const TileKernels* TilesOf(KernelLevel level) {
  const KernelTable* table = KernelsFor(level);
  return table == nullptr ? nullptr : table->tiles;
}

INSTANTIATE_TEST_SUITE_P(, TileKernelsOf,
                         testing::Values(Level{"amx", TilesOf(KernelLevel::kAmx)},
                                         Level{"amx_trapped", TrappedAmxKernels()},
                                         Level{"amx_emulated", EmulatedAmxKernels()}),
                         [](const auto& level) { return std::string(level.param.name); });

}  // namespace
}  // namespace moescope::engine
