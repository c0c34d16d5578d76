// Rows of activations as tiles of bfloat16, as level amx multiplies them: 16 rows and 32 values of
// k a tile, two neighbours of k beside each other. Rounding and sums: docs/numerics.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moescope::engine {

inline constexpr int kTileLanes = 16;   // rows of activations, or columns of weights
inline constexpr int kTileValues = 32;  // of k

// pairs[i][r] holds values 2 i and 2 i + 1 of row r; rows and values that do not exist are 0.
struct TileOfRows {
  uint16_t pairs[kTileValues / 2][kTileLanes][2];
};
static_assert(sizeof(TileOfRows) == 1024);

// Internal to each file, so that no level's copy serves another. Tiles along k:
static constexpr int64_t TilesOf(int64_t k) {
  return (k + kTileValues - 1) / kTileValues;
}
// and those of n_rows rows: block of 16 rows after block, in each along k.
static constexpr int64_t TilesOf(int64_t n_rows, int64_t k) {
  return (n_rows + kTileLanes - 1) / kTileLanes * TilesOf(k);
}

}  // namespace moescope::engine
