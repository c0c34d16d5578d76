// The level of AVX2, FMA and F16C. Intrinsics stay in this folder.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// Null when the build has no code for it (another processor family).
const KernelTable* Avx2Kernels();

}  // namespace moescope::engine
