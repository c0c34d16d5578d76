// Products of rounded activations with AVX-512 VNNI. Intrinsics stay in this folder.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

// `round` is null: another level's serves, the bits being the same.
// Null when the build has no code for it (another processor family).
const RoundedKernels* VnniKernels();
// The same source run through SIMDe: slow, for tests on machines without VNNI. Linked only there.
const RoundedKernels* EmulatedVnniKernels();

}  // namespace moescope::engine
