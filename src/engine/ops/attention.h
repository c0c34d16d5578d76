// Causal attention of a block of queries that share one key-value head.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/function_ref.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// Queries at positions [first_position, first_position + n_queries) of one sequence, `n_heads`
// query heads side by side, and the keys and values of the positions up to the last of them.
struct AttentionBlock {
  float* queries = nullptr;  // [n_queries, n_heads * head_dim], already scaled; becomes the result
  size_t query_stride = 0;
  const float* keys = nullptr;  // transposed: [head_dim, n_keys]
  size_t key_stride = 0;
  const float* values = nullptr;  // [n_keys, head_dim]
  size_t value_stride = 0;
  int first_position = 0;
  int n_queries = 0;
  int n_heads = 0;
  int head_dim = 0;
  int window = 0;         // a query sees its own key and the window - 1 before it; 0: all
  bool on_tiles = false;  // both products rounded to bfloat16; the level must have tiles
  int n_keys() const { return first_position + n_queries; }
};

// Sees the weights of one head of a block, [n_queries, n_keys] from position first_key on.
using AttentionWatcher =
    FunctionRef<void(int head, int first_key, int n_keys, const float* weights)>;

// Overwrites the queries with softmax(queries . keys) . values, each query seeing the keys up to
// its own position, as far back as the window. `scores`: scratch of n_queries * n_keys() floats.
// A row depends only on its own query and the keys before it, not on the block it came in: sums
// over keys start at position 0, or at a multiple of kSumBlock behind which all keys are masked,
// and what is masked of a row are exact zeros.
void Attend(const KernelTable& kernels, const AttentionBlock& block, float* scores,
            const AttentionWatcher* watcher = nullptr);

}  // namespace moescope::engine
