// The level of AMX: products of bfloat16 on tiles; all else is AVX-512's. Intrinsics and tile
// instructions stay in this folder.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// Null when the build has no code for it (another processor family). Runs only after
// RequestTilePermission() (base/platform/cpu.h).
const TileKernels* AmxKernels();
// The same source with tiles emulated in plain loops and AVX-512 through SIMDe: slow, for tests on
// machines without AMX. Linked only there. Null when Clang builds it.
const TileKernels* EmulatedAmxKernels();

}  // namespace moescope::engine
