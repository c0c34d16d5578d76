#include "lab/attention_matrices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/model/tiny_model.h"
#include "lab/watch_attention.h"

namespace moescope::lab {
namespace {

// A wave of a tiny model, whose heads do all sorts of things.
class Matrices : public testing::Test {
 protected:
  Matrices()
      : path_(engine::WriteTinyModel(engine::OddTinyConfig(), DType::kBF16, 5)),
        model_(engine::Model::Open(path_)) {
    for (int i = 0; i < 70; ++i) ids_.push_back((i * 37 + 5) % model_->config().vocab_size);
  }
  ~Matrices() override { std::filesystem::remove_all(path_); }

  WatchedAttention Watch(int64_t block, int n_threads = 2) {
    WatchOptions options;
    options.block = block;
    options.n_threads = n_threads;
    options.memory = uint64_t{1} << 30;
    options.rows = {1, 2, 0, n() - 1};
    return WatchAttention(*model_, ids_, options);
  }
  int64_t n() const { return static_cast<int64_t>(ids_.size()); }

  std::string path_;
  std::unique_ptr<engine::Model> model_;
  std::vector<int32_t> ids_;
};

TEST_F(Matrices, UnpooledAreTheRowsThemselves) {
  const WatchedAttention watched = Watch(1);
  ASSERT_EQ(watched.matrices->n_blocks(), n());
  for (int64_t query = 0; query < n(); ++query) {
    for (int64_t key = 0; key <= query; ++key) {
      ASSERT_NEAR(watched.matrices->Weight(1, 2, query, key),
                  watched.rows->Row(query)[static_cast<size_t>(key)], 1e-9)
          << query << " " << key;
    }
  }
}

TEST_F(Matrices, PooledAreMeansOverQueriesOfSumsOverKeys) {
  const WatchedAttention watched = Watch(8);
  const AttentionMatricesProbe& pooled = *watched.matrices;
  ASSERT_EQ(pooled.n_blocks(), 9) << "the last block has 6 tokens";
  for (int64_t query = 0; query < pooled.n_blocks(); ++query) {
    double all = 0;
    for (int64_t key = 0; key <= query; ++key) {
      double sum = 0;
      int64_t n_rows = 0;
      for (int64_t row = query * 8; row < std::min((query + 1) * 8, n()); ++row, ++n_rows) {
        for (int64_t at = key * 8; at < std::min((key + 1) * 8, n()); ++at) {
          sum += watched.rows->Row(row)[static_cast<size_t>(at)];
        }
      }
      const double weight = pooled.Weight(1, 2, query, key);
      ASSERT_NEAR(weight, sum / static_cast<double>(n_rows), 1e-8);
      all += weight;
    }
    EXPECT_NEAR(all, 1, 1e-5) << "rows still sum to one";
  }
}

TEST_F(Matrices, AreTheSameForAnyNumberOfThreads) {
  const WatchedAttention one = Watch(3, 1), four = Watch(3, 4);
  for (int layer = 0; layer < model_->config().n_layers; ++layer) {
    for (int64_t query = 0; query < one.matrices->n_blocks(); ++query) {
      for (int64_t key = 0; key <= query; ++key) {
        ASSERT_EQ(one.matrices->MeanOfHeads(layer, query, key),
                  four.matrices->MeanOfHeads(layer, query, key));
      }
    }
  }
}

TEST_F(Matrices, NeedMemoryThatIsAskedForFirst) {
  WatchOptions options;
  options.block = 1;
  options.memory = 1000;
  try {
    WatchAttention(*model_, ids_, options);
    FAIL() << "a thousand bytes are not enough";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
  }
}

TEST(ChooseBlocks, ShortTextsAreKeptTokenByTokenLongOnesPooled) {
  const std::vector<MatricesWanted> models = {{10, 256}, {10, 257}, {10, 1000}};
  EXPECT_EQ(ChooseBlocks(models, 100'000'000), (std::vector<int64_t>{1, 3, 8}));
}

TEST(ChooseBlocks, TheModelWithTheMostCellsGivesWayFirst) {
  // GPT-2 with 156 matrices and Mixtral 8x7B with 1056 over 100 tokens: 788 k and 5.3 M cells.
  const std::vector<MatricesWanted> models = {{156, 100}, {1056, 100}};
  EXPECT_EQ(ChooseBlocks(models, 3'000'000), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(ChooseBlocks(models, 7'000'000), (std::vector<int64_t>{1, 1}));
}

TEST(ChooseBlocks, EndsAtOneBlockWhereNothingFits) {
  const std::vector<MatricesWanted> models = {{1000, 40}};
  EXPECT_EQ(ChooseBlocks(models, 10), (std::vector<int64_t>{40}));
}

}  // namespace
}  // namespace moescope::lab
