#include "engine/kernels/amx/kernels.h"

// Clang's headers and SIMDe of Debian 12 define the same names.
#if defined(MOESCOPE_EMULATE_AMX) && !defined(__clang__)
#define MOESCOPE_HAS_TILES
#include "engine/kernels/amx/emulated.h"
#elif !defined(MOESCOPE_EMULATE_AMX) && defined(__AMX_BF16__)
#define MOESCOPE_HAS_TILES
#include "engine/kernels/amx/tiles.h"
#endif
#if defined(MOESCOPE_HAS_TILES)
#include "engine/kernels/avx512/vector.h"
// After the vector it is written over, and the tiles.
#include "engine/kernels/amx/tile_product.h"

namespace moescope::engine {
namespace {

constexpr TileKernels kTileKernels = {.pack = PackRows,
                                      .multiply = MultiplyPackedRows,
                                      .multiply_columns = MultiplyColumnsOnTiles,
                                      .peak = TilePeak};

}  // namespace
}  // namespace moescope::engine
#endif

namespace moescope::engine {

#if defined(MOESCOPE_EMULATE_AMX)
const TileKernels* EmulatedAmxKernels() {
#else
const TileKernels* AmxKernels() {
#endif
#if defined(MOESCOPE_HAS_TILES)
  return &kTileKernels;
#else
  return nullptr;
#endif
}

}  // namespace moescope::engine
