// The level of AVX-512 F, BW, DQ and VL. Intrinsics stay in this folder.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// Null when the build has no code for it (another processor family).
const KernelTable* Avx512Kernels();
// The same source run through SIMDe: slow, for tests on machines without AVX-512. Linked only
// there.
const KernelTable* EmulatedAvx512Kernels();

}  // namespace moescope::engine
