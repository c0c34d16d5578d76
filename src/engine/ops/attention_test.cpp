#include "engine/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace moescope::engine {
namespace {

// Two query heads on one key-value head, 50 positions, head size 12.
struct Fixture {
  static constexpr int kPositions = 50, kHeads = 2, kDim = 12;
  std::vector<float> queries, keys, values;  // values transposed [kDim, kPositions]
  Fixture() : queries(kPositions * kHeads * kDim), keys(kPositions * kDim), values(keys) {
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    for (auto* all : {&queries, &keys, &values}) {
      for (float& value : *all) value = normal(random);
    }
  }
  std::vector<float> Run(const KernelTable& kernels, int block_size) const {
    std::vector<float> out = queries, scores(static_cast<size_t>(block_size * kPositions));
    for (int first = 0; first < kPositions; first += block_size) {
      Attend(kernels,
             {.queries = out.data() + first * kHeads * kDim,
              .query_stride = kHeads * kDim,
              .keys = keys.data(),
              .key_stride = kDim,
              .values = values.data(),
              .value_stride = kPositions,
              .first_position = first,
              .n_queries = std::min(block_size, kPositions - first),
              .n_heads = kHeads,
              .head_dim = kDim},
             scores.data());
    }
    return out;
  }
};

TEST(Attend, AgreesWithDoubleAndSeesOnlyThePast) {
  const Fixture f;
  const std::vector<float> out = f.Run(*KernelsFor(KernelLevel::kScalar), 16);
  for (int position = 0; position < f.kPositions; ++position) {
    for (int head = 0; head < f.kHeads; ++head) {
      const float* query = &f.queries[(position * f.kHeads + head) * f.kDim];
      std::vector<double> weight(position + 1);
      double sum = 0;
      for (int key = 0; key <= position; ++key) {
        double score = 0;
        for (int d = 0; d < f.kDim; ++d) score += double{query[d]} * f.keys[key * f.kDim + d];
        sum += weight[key] = std::exp(score);
      }
      for (int d = 0; d < f.kDim; ++d) {
        double expected = 0;
        for (int key = 0; key <= position; ++key) {
          expected += weight[key] / sum * f.values[d * f.kPositions + key];
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
    const std::vector<float> whole = f.Run(*kernels, f.kPositions);
    for (int block_size : {1, 7, 32}) EXPECT_EQ(f.Run(*kernels, block_size), whole);
  }
}

}  // namespace
}  // namespace moescope::engine
