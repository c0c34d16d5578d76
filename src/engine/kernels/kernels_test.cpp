// Every kernel at every level this machine has, against double, with tails. Tolerances are
// formulas: u = 2^-24 is half an ulp at 1, and a chain of n roundings errs by at most n u of the
// sum of the magnitudes it has passed (Higham, Accuracy and Stability, section 3.1).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/platform/cpu.h"
#include "base/tensor/convert_rows.h"
#include "base/tensor/random_row.h"
#include "engine/kernels/avx512/kernels.h"
#include "engine/kernels/kernel_table.h"
#include "files/safetensors.h"

namespace moescope::engine {
namespace {

constexpr double kUnit = 1.0 / (1 << 24);
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Random(size_t n, uint32_t seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// Sizes around every vector width, tile and sum block.
const std::vector<int> kSizes = {1,  2,  3,  7,  8,    9,    15,   16,  17,
                                 31, 33, 64, 77, 1023, 1024, 1025, 2500};

// A level as this machine runs it, or the AVX-512 sources through SIMDe.
struct Level {
  const char* name;
  const KernelTable* table;  // null: this machine lacks it
};

class Kernels : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    table_ = GetParam().table;
    if (table_ == nullptr) GTEST_SKIP() << "this machine lacks the level";
  }
  const KernelTable* table_ = nullptr;
};

TEST_P(Kernels, MultiplyAgreesWithDouble) {
  for (int k : kSizes) {
    for (auto [n_rows, n_cols] :
         std::vector<std::array<int, 2>>{{1, 1}, {4, 3}, {6, 4}, {7, 9}, {13, 30}, {50, 83}}) {
      const size_t x_stride = k + 5, w_stride = k + 1, out_stride = n_cols + 2;
      const auto x = Random(n_rows * x_stride, 1), w = Random(n_cols * w_stride, 2);
      std::vector<float> out(n_rows * out_stride, 55);
      table_->multiply(x.data(), x_stride, w.data(), w_stride, out.data(), out_stride, n_rows,
                       n_cols, k);
      for (int r = 0; r < n_rows; ++r) {
        for (int c = 0; c < n_cols; ++c) {
          double sum = 0, size = 0;
          for (int i = 0; i < k; ++i) {
            const double product = double{x[r * x_stride + i]} * w[c * w_stride + i];
            sum += product, size += std::abs(product);
          }
          // A chain a lane, the tree over lanes, the blocks; one for the product where it is not
          // fused, one for m u / (1 - m u). docs/numerics.md.
          const int width = table_->width;
          const int chain = (std::min(k, kSumBlock) + width - 1) / width;
          const int roundings =
              chain + std::countr_zero(static_cast<unsigned>(width)) + k / kSumBlock + 2;
          const double bound = size * kUnit * roundings;
          EXPECT_NEAR(out[r * out_stride + c], sum, bound) << k;
        }
        EXPECT_EQ(out[r * out_stride + n_cols], 55);  // nothing beyond the row
      }
    }
  }
}

TEST_P(Kernels, AnElementOfAProductDependsOnlyOnItsRowAndColumn) {
  const int n_rows = 17, n_cols = 19;
  for (int k : {5, 64, 257, 1500}) {
    const auto x = Random(n_rows * k, 3), w = Random(n_cols * k, 4);
    std::vector<float> all(n_rows * n_cols);
    table_->multiply(x.data(), k, w.data(), k, all.data(), n_cols, n_rows, n_cols, k);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        float one;
        table_->multiply(&x[r * k], k, &w[c * k], k, &one, 1, 1, 1, k);
        EXPECT_EQ(std::bit_cast<uint32_t>(one), std::bit_cast<uint32_t>(all[r * n_cols + c]));
      }
    }
  }
}

// Many rows go another way (weights repacked) than few; both against one element at a time.
TEST_P(Kernels, AnElementOfAProductOfManyRowsDependsOnlyOnItsRowAndColumn) {
  struct Shape {
    int n_rows, n_cols, k;
  };
  std::vector<Shape> shapes = {{47, 64, 256}, {48, 65, 256}, {53, 81, 1024}, {49, 33, 2500}};
  for (int k = 95; k <= 130; ++k) shapes.push_back({48 + k % 7, 8 + k % 29, k});
  for (const auto& [n_rows, n_cols, k] : shapes) {
    const size_t x_stride = k + 3, w_stride = k + 1, out_stride = n_cols + 2;
    const auto x = Random(n_rows * x_stride, 15), w = Random(n_cols * w_stride, 16);
    std::vector<float> all(n_rows * out_stride, 55);
    table_->multiply(x.data(), x_stride, w.data(), w_stride, all.data(), out_stride, n_rows, n_cols,
                     k);
    for (int r = 0; r < n_rows; ++r) {
      for (int c = 0; c < n_cols; ++c) {
        float one;
        table_->multiply(&x[r * x_stride], k, &w[c * w_stride], k, &one, 1, 1, 1, k);
        ASSERT_EQ(std::bit_cast<uint32_t>(one), std::bit_cast<uint32_t>(all[r * out_stride + c]))
            << n_rows << " x " << n_cols << " x " << k << " at " << r << ", " << c;
      }
      EXPECT_EQ(all[r * out_stride + n_cols], 55);  // nothing beyond the row
    }
  }
}

// Products that underflow leave chains of -0; a masked tail adds 0 * 0 to some of them.
TEST_P(Kernels, TheSignOfAnUnderflowDoesNotDependOnTheNumberOfRows) {
  const ScopedFlushToZero flush;
  const int n_rows = 50, n_cols = 64;
  for (int k : {100, 112, 256}) {
    const std::vector<float> x(n_rows * k, -1e-30f), w(n_cols * k, 1e-30f);
    std::vector<float> all(n_rows * n_cols);
    table_->multiply(x.data(), k, w.data(), k, all.data(), n_cols, n_rows, n_cols, k);
    float one;
    table_->multiply(x.data(), k, w.data(), k, &one, 1, 1, 1, k);
    for (float value : all) {
      ASSERT_EQ(std::bit_cast<uint32_t>(one), std::bit_cast<uint32_t>(value)) << k;
    }
  }
}

// NaN and infinity reach exactly the elements whose row or column has them.
TEST_P(Kernels, NonFiniteValuesStayInTheirRowOfManyRows) {
  const int n_rows = 50, n_cols = 70, k = 200;
  auto x = Random(n_rows * k, 17);
  const auto w = Random(n_cols * k, 18);
  x[7 * k + 199] = kNan;
  x[31 * k + 3] = kInfinity;
  std::vector<float> out(n_rows * n_cols);
  table_->multiply(x.data(), k, w.data(), k, out.data(), n_cols, n_rows, n_cols, k);
  for (int i = 0; i < n_rows * n_cols; ++i) {
    EXPECT_EQ(std::isnan(out[i]), i / n_cols == 7) << i;
    EXPECT_EQ(std::isinf(out[i]), i / n_cols == 31) << i;
  }
}

TEST_P(Kernels, AnEmptySumIsZero) {
  std::vector<float> out(6, 9);
  table_->multiply(out.data(), 0, out.data(), 0, out.data(), 3, 2, 3, 0);
  EXPECT_EQ(out, std::vector<float>(6, 0));
}

std::vector<DType> AllTypes() {
  std::vector<DType> types;
  for (int i = 0; i < kNDTypes; ++i) types.push_back(static_cast<DType>(i));
  return types;
}

// The same bits, or NaN on both sides: which NaN follows from the order of operands.
bool Same(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::isnan(x) ? std::isnan(y) : std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
  });
}

// Dequantises from `shift` bytes beyond an aligned address and looks for stores beyond the end.
std::vector<float> Dequantised(const KernelTable& kernels, DType dtype,
                               std::span<const std::byte> row, size_t n, size_t shift) {
  constexpr size_t kBeyond = 32;
  std::vector<std::byte> stored(shift + row.size());
  std::copy(row.begin(), row.end(), stored.begin() + shift);
  std::vector<float> out(n + kBeyond, 55);
  kernels.dequantise(dtype, stored.data() + shift, out.data(), n);
  EXPECT_EQ(std::vector<float>(out.begin() + n, out.end()), std::vector<float>(kBeyond, 55));
  out.resize(n);
  return out;
}

TEST_P(Kernels, DequantiseIsExactForEveryTypeAndAlignment) {
  for (DType dtype : AllTypes()) {
    const auto block = static_cast<size_t>(Info(dtype).block_elements);
    for (size_t n_blocks : {1, 2, 5, 64, 77}) {
      const size_t n = n_blocks * block;
      const auto row = RandomRow(dtype, n, static_cast<uint32_t>(n_blocks));
      std::vector<float> expected(n);
      DequantiseRow(dtype, row.data(), expected);
      for (size_t shift : {0, 1, 2, 3, 31}) {
        EXPECT_TRUE(Same(Dequantised(*table_, dtype, row, n, shift), expected))
            << Name(dtype) << " blocks " << n_blocks << " shift " << shift;
      }
    }
  }
}

// Any bytes at all: infinite and undefined scales too; and as workers run, subnormals flushed.
TEST_P(Kernels, DequantiseGivesTheBitsOfTheScalarLevelWithSubnormalsFlushed) {
  std::mt19937 random(20);
  for (DType dtype : AllTypes()) {
    const size_t n = 300 * static_cast<size_t>(Info(dtype).block_elements);
    std::vector<std::byte> row(RowBytes(dtype, n).value());
    for (std::byte& byte : row) byte = static_cast<std::byte>(random() & 255);
    // Exponents of MXFP4 that are subnormal or nearly so.
    if (dtype == DType::kMXFP4) {
      for (size_t block = 0; block < 8; ++block) row[block * 17] = static_cast<std::byte>(block);
    }
    for (bool flushed : {false, true}) {
      std::optional<ScopedFlushToZero> flush;
      if (flushed) flush.emplace();
      std::vector<float> expected(n);
      DequantiseRow(dtype, row.data(), expected);
      const std::vector<float> out = Dequantised(*table_, dtype, row, n, 1);
      flush.reset();  // comparisons take subnormals for zeros, too
      EXPECT_TRUE(Same(out, expected)) << Name(dtype) << (flushed ? " flushed" : "");
    }
  }
}

TEST_P(Kernels, DequantiseHasTheBitsOfTheReference) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) {
    std::puts("skipped: no fixtures");
    GTEST_SKIP() << "skipped: no fixtures";
  }
  const auto file = files::SafetensorsFile::Open(std::string(fixtures) +
                                                 "/models/quant-blocks/quant-blocks.safetensors");
  for (DType dtype : AllTypes()) {
    if (dtype == DType::kF32) continue;
    const std::string name(Name(dtype));
    const std::vector<float> expected = file.ReadFloats("values." + name);
    std::vector<std::byte> row;
    for (int64_t byte : file.ReadInts("blocks." + name))
      row.push_back(static_cast<std::byte>(byte));
    ASSERT_EQ(RowBytes(dtype, expected.size()), row.size()) << name;
    const std::vector<float> out = Dequantised(*table_, dtype, row, expected.size(), 0);
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i]))
          << name << " value " << i;
    }
  }
}

TEST_P(Kernels, DequantiseTakesEveryHalfFloat) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    std::vector<uint16_t> stored(1 << 16);
    for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<uint16_t>(i);
    std::vector<float> expected(stored.size()), out(stored.size());
    DequantiseRow(dtype, reinterpret_cast<const std::byte*>(stored.data()), expected);
    table_->dequantise(dtype, stored.data(), out.data(), out.size());
    for (size_t i = 0; i < out.size(); ++i) {
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(out[i])) << i;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i])) << i;
      }
    }
  }
}

TEST_P(Kernels, RmsNormAgreesWithDouble) {
  for (int n : kSizes) {
    const auto x = Random(n, 6, 3), weight = Random(n, 7);
    std::vector<float> out(n);
    table_->rms_norm(x.data(), weight.data(), 1e-5f, out.data(), n);
    double squares = 0;
    for (float value : x) squares += double{value} * value;
    const double scale = 1 / std::sqrt(squares / n + 1e-5f);
    for (int i = 0; i < n; ++i) {
      const double expected = x[i] * scale * weight[i];
      // The root halves the error of the sum; then a few roundings of one each.
      EXPECT_NEAR(out[i], expected,
                  std::abs(expected) * kUnit * (std::min(n, kSumBlock) + n / kSumBlock + 8));
    }
  }
}

// What an exponential may err by, relative: the polynomial's remainder, its eight roundings weighed
// by their terms (below 4 u together), and the argument, whose rounding of u |x| the result
// inherits.
double ExpBound(double x) {
  return kUnit * (6 + std::abs(x));
}

TEST_P(Kernels, SiluMultiplyAgreesWithDouble) {
  std::vector<float> gate = {0,   -0.0f, 1,    -1,   20,    -20,   87,
                             -87, -89,   -200, 1e4f, -1e4f, 3e38f, -3e38f};
  const auto more = Random(51, 8, 5);
  gate.insert(gate.end(), more.begin(), more.end());
  const auto up = Random(gate.size(), 9);
  std::vector<float> out = gate;
  table_->silu_multiply(out.data(), up.data(), out.size());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    const double expected = g / (1 + std::exp(-g)) * up[i];
    // Below -87 the exponential is clamped: what is left is smaller than the smallest normal x |g|.
    EXPECT_NEAR(out[i], expected,
                std::abs(expected) * (ExpBound(g) + 3 * kUnit) + std::abs(g * up[i]) * 1e-37)
        << g;
  }
}

TEST_P(Kernels, LayerNormAgreesWithDouble) {
  for (int n : kSizes) {
    if (n < 2) continue;  // one number has no variance
    auto x = Random(n, 20, 3);
    for (float& value : x) value += 2;
    const auto weight = Random(n, 21), bias = Random(n, 22);
    std::vector<float> out(n);
    table_->layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, out.data(), n);
    double mean = 0, squares = 0, largest = 0;
    for (float value : x) mean += double{value} / n;
    for (float value : x) squares += (value - mean) * (value - mean);
    for (float value : x) largest = std::max(largest, std::abs(double{value}));
    const double scale = 1 / std::sqrt(squares / n + 1e-5f);
    const double m = std::min(n, kSumBlock) + n / kSumBlock + 8;
    for (int i = 0; i < n; ++i) {
      const double normed = (x[i] - mean) * scale * weight[i];
      // The mean errs by m roundings of the largest magnitude, and everything is scaled.
      const double of_mean = m * kUnit * largest * scale * std::abs(weight[i]);
      EXPECT_NEAR(out[i], normed + bias[i],
                  kUnit * m * (std::abs(normed) + std::abs(bias[i])) + 2 * of_mean)
          << n << " " << i;
    }
  }
}

TEST_P(Kernels, GeluAgreesWithDouble) {
  std::vector<float> x = {0, -0.0f, 1,  -1,  3,    -3,    5,     -5,
                          9, -9,    40, -40, 1e4f, -1e4f, 3e38f, -3e38f};
  const auto more = Random(51, 23, 5);
  x.insert(x.end(), more.begin(), more.end());
  std::vector<float> out = x;
  table_->gelu(out.data(), out.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    const double u = 1.5957691216057308 * (value + 0.044715 * value * value * value);
    const double expected = u < -700 ? 0 : value / (1 + std::exp(-u));
    // The argument is rounded seven times before the exponential.
    const double relative = ExpBound(u) + 8 * kUnit * std::abs(u) + 3 * kUnit;
    EXPECT_NEAR(
        out[i], expected,
        std::abs(expected) * std::min(relative, 1.0) + std::abs(value) * (u < -80 ? 1e-34 : 0))
        << value;
  }
}

TEST_P(Kernels, AddScaledRoundsTwice) {
  for (int n : kSizes) {
    const auto x = Random(n, 10), start = Random(n, 11);
    std::vector<float> out = start;
    table_->add_scaled(out.data(), x.data(), 0.3f, n);
    for (int i = 0; i < n; ++i) {
      const float product = 0.3f * x[i];
      EXPECT_EQ(out[i], start[i] + product);
    }
  }
}

TEST_P(Kernels, SoftmaxAgreesWithDouble) {
  for (int n : kSizes) {
    const auto scores = Random(n, 12, 8);
    std::vector<float> out = scores;
    table_->softmax(out.data(), n);
    double largest = -1e30, sum = 0;
    for (float score : scores) largest = std::max<double>(largest, score);
    for (float score : scores) sum += std::exp(score - largest);
    for (int i = 0; i < n; ++i) {
      const double expected = std::exp(scores[i] - largest) / sum;
      const double relative = ExpBound(scores[i] - largest) + ExpBound(16) +
                              kUnit * (std::min(n, kSumBlock) + n / kSumBlock + 3);
      EXPECT_NEAR(out[i], expected, expected * relative + 1e-37);
    }
  }
}

TEST_P(Kernels, CrossEntropyAgreesWithDouble) {
  for (int n : kSizes) {
    const auto logits = Random(n, 13, 4);
    double sum = 0, size = 0;
    for (float logit : logits) sum += std::exp(double{logit});
    for (float logit : logits) size = std::max<double>(size, std::abs(logit));
    for (int target : {0, n / 2, n - 1}) {
      const double expected = std::log(sum) - logits[target];
      EXPECT_NEAR(table_->cross_entropy(logits.data(), n, target), expected,
                  ExpBound(2 * size) + kUnit * (std::min(n, kSumBlock) + n / kSumBlock + 4 * size));
    }
  }
}

TEST_P(Kernels, NonFiniteValuesComeThrough) {
  for (int n : {1, 5, 16, 40}) {
    for (int place = 0; place < n; ++place) {
      auto with = [&](float value) {
        auto values = Random(n, 14);
        values[place] = value;
        return values;
      };
      const auto ones = std::vector<float>(n, 1);
      auto scores = with(kNan);
      EXPECT_TRUE(std::isnan(table_->cross_entropy(scores.data(), n, 0)));
      float product;
      table_->multiply(scores.data(), n, ones.data(), n, &product, 1, 1, 1, n);
      EXPECT_TRUE(std::isnan(product));
      auto normed = scores;
      table_->rms_norm(scores.data(), ones.data(), 1e-5f, normed.data(), n);
      EXPECT_TRUE(std::isnan(normed[place]));
      auto gate = scores;
      table_->silu_multiply(gate.data(), ones.data(), n);
      EXPECT_TRUE(std::isnan(gate[place]));
      table_->softmax(scores.data(), n);
      EXPECT_TRUE(std::isnan(scores[place]));
      if (n > 1) {
        auto masked = with(-kInfinity);
        table_->softmax(masked.data(), n);
        EXPECT_EQ(masked[place], 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Kernels,
                         testing::Values(Level{"scalar", KernelsFor(KernelLevel::kScalar)},
                                         Level{"avx2", KernelsFor(KernelLevel::kAvx2)},
                                         Level{"avx512", KernelsFor(KernelLevel::kAvx512)},
                                         Level{"avx512_emulated", EmulatedAvx512Kernels()}),
                         [](const auto& level) { return std::string(level.param.name); });

}  // namespace
}  // namespace moescope::engine
