#include "engine/ops/attention.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace moescope::engine {
namespace {

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

}  // namespace

void Attend(const KernelTable& kernels, const AttentionBlock& block, float* scores,
            const AttentionWatcher* watcher) {
  MOESCOPE_CHECK(block.first_position >= 0 && block.n_queries > 0);
  const int oldest = block.window > 0 ? std::max(block.first_position - block.window + 1, 0) : 0;
  const int first_key = oldest / kSumBlock * kSumBlock;
  const int n_keys = block.n_keys() - first_key;
  const size_t score_stride = static_cast<size_t>(n_keys);
  const float* keys = block.keys + first_key;
  const float* values = block.values + static_cast<size_t>(first_key) * block.value_stride;
  const auto multiply_columns =
      block.on_tiles ? kernels.tiles->multiply_columns : kernels.multiply_columns;
  for (int head = 0; head < block.n_heads; ++head) {
    float* queries = block.queries + static_cast<size_t>(head) * block.head_dim;
    multiply_columns(queries, block.query_stride, keys, block.key_stride, scores, score_stride,
                     block.n_queries, n_keys, block.head_dim);
    for (int query = 0; query < block.n_queries; ++query) {
      WeighKeys(kernels, block, first_key, query,
                scores + static_cast<size_t>(query) * score_stride);
    }
    if (watcher != nullptr) (*watcher)(head, first_key, n_keys, scores);
    // The queries of this head have been used: their place takes the result.
    multiply_columns(scores, score_stride, values, block.value_stride, queries, block.query_stride,
                     block.n_queries, block.head_dim, n_keys);
  }
}

}  // namespace moescope::engine
