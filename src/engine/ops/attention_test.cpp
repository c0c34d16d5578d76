#include "engine/ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor/convert_rows.h"
#include "engine/kernels/amx/kernels.h"

namespace moescope::engine {
namespace {

// Two query heads on one key-value head, 50 positions, head size 12.
struct Fixture {
  static constexpr int kPositions = 50, kHeads = 2, kDim = 12;
  std::vector<float> queries, keys, values;  // keys transposed [kDim, kPositions]
  Fixture() : queries(kPositions * kHeads * kDim), keys(kPositions * kDim), values(keys) {
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    for (auto* all : {&queries, &keys, &values}) {
      for (float& value : *all) value = normal(random);
    }
  }
  std::vector<float> Run(const KernelTable& kernels, int block_size, int window = 0,
                         bool on_tiles = false) const {
    std::vector<float> out = queries, scores(AttentionFloats(block_size, kPositions, kDim));
    for (int first = 0; first < kPositions; first += block_size) {
      Attend(kernels,
             {.queries = out.data() + first * kHeads * kDim,
              .query_stride = kHeads * kDim,
              .keys = keys.data(),
              .key_stride = kPositions,
              .values = values.data(),
              .value_stride = kDim,
              .first_position = first,
              .n_queries = std::min(block_size, kPositions - first),
              .n_heads = kHeads,
              .head_dim = kDim,
              .window = window,
              .on_tiles = on_tiles},
             scores.data());
    }
    return out;
  }
};

struct AttendCase {
  KernelLevel level;
  int window;
};

class AttendAtLevel : public testing::TestWithParam<AttendCase> {};

TEST_P(AttendAtLevel, AgreesWithDoubleAndSeesOnlyThePastInItsWindow) {
  const KernelTable* kernels = KernelsFor(GetParam().level);
  if (kernels == nullptr) GTEST_SKIP() << "this machine lacks the level";
  const Fixture f;
  const int window = GetParam().window;
  const std::vector<float> out = f.Run(*kernels, 16, window);
  for (int position = 0; position < f.kPositions; ++position) {
    for (int head = 0; head < f.kHeads; ++head) {
      const float* query = &f.queries[(position * f.kHeads + head) * f.kDim];
      std::vector<double> weight(position + 1);
      double sum = 0;
      const int oldest = window > 0 ? std::max(position - window + 1, 0) : 0;
      for (int key = oldest; key <= position; ++key) {
        double score = 0;
        for (int d = 0; d < f.kDim; ++d) score += double{query[d]} * f.keys[d * f.kPositions + key];
        sum += weight[key] = std::exp(score);
      }
      for (int d = 0; d < f.kDim; ++d) {
        double expected = 0;
        for (int key = 0; key <= position; ++key) {
          expected += weight[key] / sum * f.values[key * f.kDim + d];
        }
        EXPECT_NEAR(out[(position * f.kHeads + head) * f.kDim + d], expected, 1e-5);
      }
    }
  }
}

TEST(Attend, GivesTheSameBitsForAnyBlocks) {
  const Fixture f;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    for (int window : {0, 9}) {
      const std::vector<float> whole = f.Run(*kernels, f.kPositions, window);
      for (int block_size : {1, 7, 32}) EXPECT_EQ(f.Run(*kernels, block_size, window), whole);
    }
  }
}

// Keys and values of another type, over more positions than a tile.
struct StoredFixture {
  static constexpr int kPositions = 600, kHeads = 3, kDim = 32;
  DType type;
  std::vector<float> queries, keys, values;  // [kPositions, ...], keys and values as stored
  std::vector<std::byte> stored_keys, stored_values;

  explicit StoredFixture(DType type_in)
      : type(type_in), queries(kPositions * kHeads * kDim), keys(kPositions * kDim), values(keys) {
    std::mt19937 random(10);
    std::normal_distribution<float> normal;
    for (float& value : queries) value = normal(random);
    for (auto [row, stored] : {std::pair{&keys, &stored_keys}, {&values, &stored_values}}) {
      for (float& value : *row) value = normal(random);
      stored->resize(RowBytes(type, row->size()).value());
      QuantiseRow(type, *row, stored->data());
      DequantiseRow(type, stored->data(), *row);
    }
  }
  std::vector<float> Run(const KernelTable& kernels, int block_size, int window) const {
    std::vector<float> out = queries, scratch(AttentionFloats(block_size, kPositions, kDim));
    for (int first = 0; first < kPositions; first += block_size) {
      Attend(kernels,
             {.queries = out.data() + first * kHeads * kDim,
              .query_stride = kHeads * kDim,
              .first_position = first,
              .n_queries = std::min(block_size, kPositions - first),
              .n_heads = kHeads,
              .head_dim = kDim,
              .window = window,
              .type = type,
              .stored_keys = stored_keys.data(),
              .stored_values = stored_values.data()},
             scratch.data());
    }
    return out;
  }
};

TEST(AttendStored, AgreesWithDoubleAndHasTheSameBitsForAnyBlocks) {
  for (DType type : {DType::kF16, DType::kQ8_0}) {
    const StoredFixture f(type);
    for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
      const KernelTable* kernels = KernelsFor(level);
      if (kernels == nullptr) continue;
      for (int window : {0, 300}) {
        const std::vector<float> whole = f.Run(*kernels, f.kPositions, window);
        for (int block_size : {1, 7, 32}) {
          EXPECT_TRUE(f.Run(*kernels, block_size, window) == whole)
              << Name(type) << " " << Name(level) << " " << window << " " << block_size;
        }
        for (int position : {0, 31, 255, 256, 257, 511, 599}) {
          for (int head = 0; head < f.kHeads; ++head) {
            const float* query = &f.queries[(position * f.kHeads + head) * f.kDim];
            const int oldest = window > 0 ? std::max(position - window + 1, 0) : 0;
            std::vector<double> expected(f.kDim);
            double sum = 0;
            for (int key = oldest; key <= position; ++key) {
              double score = 0;
              for (int d = 0; d < f.kDim; ++d) {
                score += double{query[d]} * f.keys[key * f.kDim + d];
              }
              sum += std::exp(score);
              for (int d = 0; d < f.kDim; ++d) {
                expected[d] += std::exp(score) * f.values[key * f.kDim + d];
              }
            }
            for (int d = 0; d < f.kDim; ++d) {
              EXPECT_NEAR(whole[(position * f.kHeads + head) * f.kDim + d], expected[d] / sum,
                          2e-5);
            }
          }
        }
      }
    }
  }
}

KernelTable WithEmulatedTiles() {
  KernelTable kernels = *KernelsFor(KernelLevel::kScalar);
  kernels.tiles = EmulatedAmxKernels();
  return kernels;
}

TEST(Attend, GivesTheSameBitsForAnyBlocksOnTiles) {
  if (EmulatedAmxKernels() == nullptr) GTEST_SKIP() << "no emulation in this build";
  const Fixture f;
  const KernelTable kernels = WithEmulatedTiles();
  for (int window : {0, 9}) {
    const std::vector<float> whole = f.Run(kernels, f.kPositions, window, true);
    for (int block_size : {1, 7, 32}) EXPECT_EQ(f.Run(kernels, block_size, window, true), whole);
  }
}

// Both sides of a product are wrong by at most d = 2^-9, so scores by (2 d + d^2) of their terms'
// magnitudes, at most e; a softmax weight then by a factor of exp(2 e), and its product with a
// value by two roundings more.
TEST(Attend, StaysOnTilesWithinTheBoundOfRounding) {
  if (EmulatedAmxKernels() == nullptr) GTEST_SKIP() << "no emulation in this build";
  const Fixture f;
  const std::vector<float> exact = f.Run(*KernelsFor(KernelLevel::kScalar), 16);
  const std::vector<float> rounded = f.Run(WithEmulatedTiles(), 16, 0, true);
  EXPECT_NE(exact, rounded);
  constexpr double d = 0x1p-9, kBoth = 2 * d + d * d;
  for (int position = 0; position < f.kPositions; ++position) {
    for (int head = 0; head < f.kHeads; ++head) {
      const float* query = &f.queries[(position * f.kHeads + head) * f.kDim];
      double e = 0, total = 0;
      std::vector<double> weights, sizes(f.kDim);
      for (int key = 0; key <= position; ++key) {
        double score = 0, size = 0;
        for (int i = 0; i < f.kDim; ++i) {
          const double term = double{query[i]} * f.keys[i * f.kPositions + key];
          score += term, size += std::abs(term);
        }
        e = std::max(e, kBoth * size);
        weights.push_back(std::exp(score));
        total += weights.back();
      }
      for (int key = 0; key <= position; ++key) {
        for (int i = 0; i < f.kDim; ++i) {
          sizes[i] += weights[key] / total * std::abs(f.values[key * f.kDim + i]);
        }
      }
      for (int i = 0; i < f.kDim; ++i) {
        const int at = (position * f.kHeads + head) * f.kDim + i;
        EXPECT_NEAR(rounded[at], exact[at], sizes[i] * (std::exp(2 * e) * (1 + kBoth) - 1) + 1e-5);
      }
    }
  }
}

std::vector<AttendCase> AttendCases() {
  std::vector<AttendCase> cases;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    for (int window : {0, 1, 7, 16, 49, 50}) cases.push_back({level, window});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(, AttendAtLevel, testing::ValuesIn(AttendCases()), [](const auto& at) {
  return std::string(Name(at.param.level)) + "_window_" + std::to_string(at.param.window);
});

TEST(MultiplyColumns, AgreesWithDoubleForTailsAndLongSums) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    for (auto [n_rows, n_cols, k] : std::vector<std::array<int, 3>>{
             {1, 1, 1}, {7, 3, 5}, {6, 64, 32}, {13, 129, 40}, {5, 17, 2500}, {2, 40, 0}}) {
      const size_t x_stride = static_cast<size_t>(k) + 3,
                   w_stride = static_cast<size_t>(n_cols) + 1;
      std::vector<float> x(n_rows * x_stride), w((k + 1) * w_stride);
      for (float& value : x) value = normal(random);
      for (float& value : w) value = normal(random);
      std::vector<float> out(static_cast<size_t>(n_rows * n_cols), 77);
      kernels->multiply_columns(x.data(), x_stride, w.data(), w_stride, out.data(), n_cols, n_rows,
                                n_cols, k);
      for (int r = 0; r < n_rows; ++r) {
        for (int c = 0; c < n_cols; ++c) {
          double sum = 0, size = 0;
          for (int i = 0; i < k; ++i) {
            const double product = double{x[r * x_stride + i]} * w[i * w_stride + c];
            sum += product;
            size += std::abs(product);
          }
          // One rounding a term within a block of kSumBlock, of at most half an ulp of the sum.
          EXPECT_NEAR(out[r * n_cols + c], sum, size * std::min(k, kSumBlock) * 6e-8);
        }
      }
    }
  }
}

}  // namespace
}  // namespace moescope::engine
