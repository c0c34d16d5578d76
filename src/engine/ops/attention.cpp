#include "engine/ops/attention.h"

#include <algorithm>

#include "base/error.h"

namespace moescope::engine {

void Attend(const KernelTable& kernels, const AttentionBlock& block, float* scores) {
  MOESCOPE_CHECK(block.first_position >= 0 && block.n_queries > 0);
  const int n_keys = block.n_keys();
  const size_t score_stride = static_cast<size_t>(n_keys);
  for (int head = 0; head < block.n_heads; ++head) {
    float* queries = block.queries + static_cast<size_t>(head) * block.head_dim;
    kernels.multiply_columns(queries, block.query_stride, block.keys, block.key_stride, scores,
                             score_stride, block.n_queries, n_keys, block.head_dim);
    for (int query = 0; query < block.n_queries; ++query) {
      float* row = scores + static_cast<size_t>(query) * score_stride;
      const int n_visible = block.first_position + query + 1;
      kernels.softmax(row, n_visible);
      std::fill(row + n_visible, row + n_keys, 0.0f);
    }
    // The queries of this head have been used: their place takes the result.
    kernels.multiply_columns(scores, score_stride, block.values, block.value_stride, queries,
                             block.query_stride, block.n_queries, block.head_dim, n_keys);
  }
}

}  // namespace moescope::engine
