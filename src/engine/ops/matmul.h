// Products of float32 activations with stored weights of any type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/experts/weight_store.h"
#include "engine/kernels/kernel_table.h"
#include "engine/ops/precision.h"

namespace moescope::engine {

// Rows of activations or results: `n_rows` rows of `stride` floats.
struct Rows {
  float* data = nullptr;
  size_t stride = 0;
  int64_t n_rows = 0;
  float* row(int64_t index) const { return data + static_cast<size_t>(index) * stride; }
};

// Rows as a product takes them: rounded ones as well, in one of two ways, or none.
struct Activations {
  Rows rows;
  const RoundedBlock* rounded = nullptr;  // [n_rows, k / 32], a whole number of blocks
  const TileOfRows* tiles = nullptr;      // TilesOf(n_rows, k)
  Activations(const Rows& exact) : rows(exact) {}
  Activations(float* data, size_t stride, int64_t n_rows) : rows{data, stride, n_rows} {}
  Activations(const Rows& exact, const RoundedBlock* blocks) : rows(exact), rounded(blocks) {}
  Activations(const Rows& exact, const TileOfRows* packed) : rows(exact), tiles(packed) {}
};

// Scratch floats that RoundRows needs for `n_rows` rows of `k`, whichever the rounding: what is
// planned must not depend on the machine.
size_t RoundedFloats(int64_t n_rows, int64_t k);
// The rows with their first k values rounded into `scratch`. Requires: for kWholeNumbers k a
// multiple of 32, for kBFloat16 a level with tiles.
Activations RoundRows(const KernelTable& kernels, Rows x, int64_t k, Rounding rounding,
                      float* scratch);

// Scratch floats MultiplyStored needs for weights of `k` columns.
size_t TileFloats(int64_t k);
// Weight rows dequantised at a time for `k` columns.
int64_t TileColumns(int64_t k);
// Weight rows worth handing over at a time where x is in tiles: the kernel reads x once for them.
inline constexpr int64_t kTiledColumns = 256;

// out[r, c - begin] = sum_k x[r, k] * w[c, k] for weight rows c in [begin, end): a tile of weight
// rows is dequantised into `tile` (TileFloats(w.cols) floats) and used for all rows of x, so a
// weight is read once a call. Float32 weights are used in place. Where x is in tiles, or has
// rounded rows and w is of whole numbers, those are multiplied instead, and `tile` is not used.
// Bit-identical however rows and columns are cut into calls (see kernel_table.h).
void MultiplyStored(const KernelTable& kernels, const Activations& x, const WeightMatrix& w,
                    int64_t begin, int64_t end, Rows out, float* tile);

// Row `index` of a stored matrix as float32. Exact.
void DequantiseRowOf(const KernelTable& kernels, const WeightMatrix& w, int64_t index, float* out);

}  // namespace moescope::engine
