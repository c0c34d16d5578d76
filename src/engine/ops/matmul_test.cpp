#include "engine/ops/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/tensor/convert_rows.h"

namespace moescope::engine {
namespace {

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

struct Stored {
  std::vector<std::byte> bytes;
  WeightMatrix matrix;
};

// `shift` bytes before the data: a file may put it anywhere.
Stored Store(const std::vector<float>& values, int64_t rows, int64_t cols, DType dtype, int shift) {
  const uint64_t row_bytes = RowBytes(dtype, static_cast<uint64_t>(cols)).value();
  Stored stored;
  stored.bytes.resize(row_bytes * static_cast<uint64_t>(rows) + shift);
  for (int64_t row = 0; row < rows; ++row) {
    QuantiseRow(dtype, {values.data() + row * cols, static_cast<size_t>(cols)},
                stored.bytes.data() + shift + row_bytes * static_cast<uint64_t>(row));
  }
  stored.matrix = {stored.bytes.data() + shift, dtype, rows, cols, row_bytes * rows};
  return stored;
}

const KernelTable& Scalar() {
  return *KernelsFor(KernelLevel::kScalar);
}

TEST(MultiplyStored, AgreesWithDoubleForEveryTypeAndAlignment) {
  const int64_t n = 5, columns = 300, k = 96;
  const std::vector<float> x = Random(n * k, 1), w = Random(columns * k, 2);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (int shift : {0, 1, 4}) {
      Stored stored = Store(w, columns, k, dtype, shift);
      std::vector<float> exact(static_cast<size_t>(columns * k)), tile(TileFloats(k));
      for (int64_t c = 0; c < columns; ++c) {
        DequantiseRowOf(Scalar(), stored.matrix, c, exact.data() + c * k);
      }
      std::vector<float> out(n * columns);
      MultiplyStored(Scalar(), {const_cast<float*>(x.data()), k, n}, stored.matrix, 0, columns,
                     {out.data(), columns, n}, tile.data());
      for (int64_t r = 0; r < n; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          double sum = 0, size = 0;
          for (int64_t i = 0; i < k; ++i) {
            double product = static_cast<double>(x[r * k + i]) * exact[c * k + i];
            sum += product;
            size += std::abs(product);
          }
          // k roundings of at most half an ulp of the partial sums.
          EXPECT_NEAR(out[r * columns + c], sum, size * k * 6e-8);
        }
      }
    }
  }
}

TEST(MultiplyStored, GivesTheSameBitsHoweverRowsAndColumnsAreCut) {
  const int64_t n = 23, columns = 70, k = 1100;
  std::vector<float> x = Random(n * k, 3);
  Stored stored = Store(Random(columns * k, 4), columns, k, DType::kBF16, 2);
  std::vector<float> tile(TileFloats(k)), whole(n * columns), parts(n * columns);
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    MultiplyStored(*kernels, {x.data(), k, n}, stored.matrix, 0, columns,
                   {whole.data(), columns, n}, tile.data());
    for (int64_t row_step : {1, 7, 16}) {
      for (int64_t column_step : {1, 9, 33}) {
        for (int64_t r = 0; r < n; r += row_step) {
          for (int64_t c = 0; c < columns; c += column_step) {
            const int64_t rows = std::min(row_step, n - r);
            MultiplyStored(*kernels, {x.data() + r * k, k, rows}, stored.matrix, c,
                           std::min(c + column_step, columns),
                           {parts.data() + r * columns + c, columns, rows}, tile.data());
          }
        }
        EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
      }
    }
  }
}

}  // namespace
}  // namespace moescope::engine
