#include "engine/ops/attention.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace moescope::engine {
namespace {

// 128 KB of heads of 128 stay in a second-level cache for all heads that share them. Keys begin at
// multiples of kSumBlock.
static_assert(kSumBlock % kTileKeys == 0);

// Scores become weights: masked before the window and after the query itself.
void WeighKeys(const KernelTable& kernels, const AttentionBlock& block, int first_key, int query,
               float* scores) {
  const int position = block.first_position + query;
  const int n_visible = position + 1 - first_key;
  const int n_scores = block.n_keys() - first_key;
  if (block.window > 0) {
    const int n_masked = std::max(position - block.window + 1 - first_key, 0);
    std::fill(scores, scores + n_masked, -std::numeric_limits<float>::infinity());
  }
  kernels.softmax(scores, n_visible);
  std::fill(scores + n_visible, scores + n_scores, 0.0f);
}

// A matrix of queries, or of the results in their place.
struct QueryRows {
  float* data;
  size_t stride;
  int n_rows;
};

// Some heads of a block that are computed together, head after head: row r is query
// r % n_queries of head first_head + r / n_queries.
struct HeadGroup {
  const AttentionBlock& block;
  int first_head, n_heads;
  int first_key, n_keys;
  float* scores;  // [n_heads * n_queries, n_keys]

  int n_rows() const { return n_heads * block.n_queries; }
  float* ScoresOf(int row) const {
    return scores + static_cast<size_t>(row) * static_cast<size_t>(n_keys);
  }
  // Calls fn(rows, first row) for as few matrices as hold all rows: one query's heads are one.
  template <typename F>
  void ForQueries(F fn) const {
    const auto dim = static_cast<size_t>(block.head_dim);
    float* first = block.queries + static_cast<size_t>(first_head) * dim;
    if (block.n_queries == 1) return fn(QueryRows{first, dim, n_heads}, 0);
    for (int head = 0; head < n_heads; ++head) {
      fn(QueryRows{first + static_cast<size_t>(head) * dim, block.query_stride, block.n_queries},
         head * block.n_queries);
    }
  }
};

// Converts the rows of keys [begin, begin + n), counted from the first one of the group.
void LoadTile(const KernelTable& kernels, const HeadGroup& group, const std::byte* stored,
              int begin, int n, float* tile) {
  const AttentionBlock& block = group.block;
  const auto dim = static_cast<uint64_t>(block.head_dim);
  const uint64_t row_bytes = RowBytes(block.type, dim).value();
  kernels.dequantise(block.type,
                     stored + static_cast<uint64_t>(group.first_key + begin) * row_bytes, tile,
                     static_cast<size_t>(n) * dim);
}

void ScoreStored(const KernelTable& kernels, const HeadGroup& group, float* tile) {
  const auto dim = static_cast<size_t>(group.block.head_dim);
  for (int begin = 0; begin < group.n_keys; begin += kTileKeys) {
    const int n = std::min(kTileKeys, group.n_keys - begin);
    LoadTile(kernels, group, group.block.stored_keys, begin, n, tile);
    group.ForQueries([&](const QueryRows& queries, int first_row) {
      kernels.multiply(queries.data, queries.stride, tile, dim, group.ScoresOf(first_row) + begin,
                       static_cast<size_t>(group.n_keys), queries.n_rows, n, group.block.head_dim);
    });
  }
}

// `sums`: [n_rows, head_dim]
void SumStored(const KernelTable& kernels, const HeadGroup& group, float* tile, float* sums) {
  const auto dim = static_cast<size_t>(group.block.head_dim);
  const auto score_stride = static_cast<size_t>(group.n_keys);
  for (int begin = 0; begin < group.n_keys; begin += kTileKeys) {
    const int n = std::min(kTileKeys, group.n_keys - begin);
    LoadTile(kernels, group, group.block.stored_values, begin, n, tile);
    group.ForQueries([&](const QueryRows& results, int first_row) {
      const QueryRows out =
          begin == 0 ? results : QueryRows{sums, dim, results.n_rows};  // the first needs no adding
      kernels.multiply_columns(group.ScoresOf(first_row) + begin, score_stride, tile, dim, out.data,
                               out.stride, out.n_rows, group.block.head_dim, n);
      for (int row = 0; begin > 0 && row < out.n_rows; ++row) {
        kernels.add_scaled(results.data + static_cast<size_t>(row) * results.stride,
                           sums + static_cast<size_t>(row) * dim, 1, dim);
      }
    });
  }
}

// The product with lanes along its columns: float32, or rounded on tiles.
auto ColumnsKernel(const KernelTable& kernels, const AttentionBlock& block) {
  return block.on_tiles ? kernels.tiles->multiply_columns : kernels.multiply_columns;
}

void ScoreFloats(const KernelTable& kernels, const HeadGroup& group) {
  const AttentionBlock& block = group.block;
  const auto multiply_columns = ColumnsKernel(kernels, block);
  for (int begin = 0; begin < group.n_keys; begin += kTileKeys) {
    const auto tile = static_cast<size_t>((group.first_key + begin) / kTileKeys);
    group.ForQueries([&](const QueryRows& queries, int first_row) {
      multiply_columns(queries.data, queries.stride, block.keys + tile * block.tile_stride,
                       block.key_stride, group.ScoresOf(first_row) + begin,
                       static_cast<size_t>(group.n_keys), queries.n_rows,
                       std::min(kTileKeys, group.n_keys - begin), block.head_dim);
    });
  }
}

void SumFloats(const KernelTable& kernels, const HeadGroup& group) {
  const AttentionBlock& block = group.block;
  const auto multiply_columns = ColumnsKernel(kernels, block);
  const float* values = block.values + static_cast<size_t>(group.first_key) * block.value_stride;
  group.ForQueries([&](const QueryRows& results, int first_row) {
    multiply_columns(group.ScoresOf(first_row), static_cast<size_t>(group.n_keys), values,
                     block.value_stride, results.data, results.stride, results.n_rows,
                     block.head_dim, group.n_keys);
  });
}

// Heads that are computed together, so that keys and values are read once for them.
int HeadsAtOnce(const AttentionBlock& block) {
  return std::clamp(kQueryBlock / block.n_queries, 1, block.n_heads);
}

}  // namespace

size_t AttentionFloats(int n_queries, int64_t n_keys, int64_t head_dim) {
  const auto rows = static_cast<size_t>(std::max(n_queries, kQueryBlock));
  return rows * static_cast<size_t>(n_keys) + (rows + kTileKeys) * static_cast<size_t>(head_dim);
}

void Attend(const KernelTable& kernels, const AttentionBlock& block, float* scratch,
            const AttentionWatcher* watcher) {
  MOESCOPE_CHECK(block.first_position >= 0 && block.n_queries > 0);
  const int oldest = block.window > 0 ? std::max(block.first_position - block.window + 1, 0) : 0;
  const int first_key = oldest / kSumBlock * kSumBlock;
  const auto dim = static_cast<size_t>(block.head_dim);
  float* tile = scratch;
  float* sums = tile + kTileKeys * dim;
  float* scores = sums + static_cast<size_t>(std::max(block.n_queries, kQueryBlock)) * dim;
  const bool stored = block.type != DType::kF32;
  for (int head = 0; head < block.n_heads; head += HeadsAtOnce(block)) {
    const HeadGroup group = {.block = block,
                             .first_head = head,
                             .n_heads = std::min(HeadsAtOnce(block), block.n_heads - head),
                             .first_key = first_key,
                             .n_keys = block.n_keys() - first_key,
                             .scores = scores};
    stored ? ScoreStored(kernels, group, tile) : ScoreFloats(kernels, group);
    for (int row = 0; row < group.n_rows(); ++row) {
      WeighKeys(kernels, block, first_key, row % block.n_queries, group.ScoresOf(row));
    }
    for (int i = 0; watcher != nullptr && i < group.n_heads; ++i) {
      (*watcher)(head + i, first_key, group.n_keys, group.ScoresOf(i * block.n_queries));
    }
    // The queries of these heads have been used: their place takes the result.
    stored ? SumStored(kernels, group, tile, sums) : SumFloats(kernels, group);
  }
}

}  // namespace moescope::engine
