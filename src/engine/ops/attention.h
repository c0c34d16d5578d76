// Causal attention of a block of queries that share one key-value head.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/function_ref.h"
#include "base/tensor/dtype.h"
#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// Keys that are gone through at a time, in a tile of memory of their own where a cache has them, so
// that reading them is reading on.
inline constexpr int kTileKeys = 256;
// Queries of an attention task; blocks start at multiples of it within a sequence.
inline constexpr int kQueryBlock = 32;

// Queries at positions [first_position, first_position + n_queries) of one sequence, `n_heads`
// query heads side by side, and the keys and values of the positions up to the last of them.
struct AttentionBlock {
  float* queries = nullptr;  // [n_queries, n_heads * head_dim], already scaled; becomes the result
  size_t query_stride = 0;
  // Transposed: dimension d of key k at keys[k / kTileKeys * tile_stride + d * key_stride +
  // k % kTileKeys]; with a tile_stride of kTileKeys that is [head_dim, n_keys].
  const float* keys = nullptr;
  size_t key_stride = 0;
  size_t tile_stride = kTileKeys;
  const float* values = nullptr;  // [n_keys, head_dim]
  size_t value_stride = 0;
  int first_position = 0;
  int n_queries = 0;
  int n_heads = 0;
  int head_dim = 0;
  int window = 0;         // a query sees its own key and the window - 1 before it; 0: all
  bool on_tiles = false;  // both products rounded to bfloat16; the level must have tiles
  // Instead of `keys` and `values`: rows of another type, [n_keys, head_dim] in one piece; not on
  // tiles.
  DType type = DType::kF32;
  const std::byte* stored_keys = nullptr;
  const std::byte* stored_values = nullptr;
  int n_keys() const { return first_position + n_queries; }
};

// Sees the weights of one head of a block, [n_queries, n_keys] from position first_key on.
using AttentionWatcher =
    FunctionRef<void(int head, int first_key, int n_keys, const float* weights)>;

// Floats of scratch that blocks of `n_queries` need that see at most `n_keys` keys.
size_t AttentionFloats(int n_queries, int64_t n_keys, int64_t head_dim);

// Overwrites the queries with softmax(queries . keys) . values, each query seeing the keys up to
// its own position, as far back as the window. `scratch`: AttentionFloats.
// A row depends only on its own query and the keys before it, not on the block it came in: sums
// over keys start at position 0, or at a multiple of kSumBlock behind which all keys are masked,
// and what is masked of a row are exact zeros. Of stored types values are summed in blocks of 256
// keys, so their bits are not those of the same numbers in float32.
void Attend(const KernelTable& kernels, const AttentionBlock& block, float* scratch,
            const AttentionWatcher* watcher = nullptr);

}  // namespace moescope::engine
