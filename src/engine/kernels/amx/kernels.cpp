#include "engine/kernels/amx/kernels.h"

#if defined(MOESCOPE_EMULATE_AMX)
#include "engine/kernels/amx/emulated.h"
#elif defined(__AMX_BF16__)
#include "engine/kernels/amx/tiles.h"
#endif
#if defined(MOESCOPE_EMULATE_AMX) || defined(__AMX_BF16__)
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
  return &kTileKernels;
}
#else
const TileKernels* AmxKernels() {
#if defined(__AMX_BF16__)
  return &kTileKernels;
#else
  return nullptr;
#endif
}
#endif

}  // namespace moescope::engine
