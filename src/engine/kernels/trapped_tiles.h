// The machine code of level amx on a processor without tiles, for tests: each of its tile
// instructions stops the program, and the handler does what Intel describes.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// AmxKernels(), with a handler of SIGILL installed for good. Null where the processor has AMX
// (nothing would stop) or lacks AVX512-BF16, which is not replaced, or the build lacks the level.
const TileKernels* TrappedAmxKernels();

}  // namespace moescope::engine
