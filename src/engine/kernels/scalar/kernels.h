// The scalar level: width 1, the reference that other levels are tested against.
#pragma once

#include "engine/kernels/kernel_table.h"

namespace moescope::engine {

const KernelTable& ScalarKernels();

}  // namespace moescope::engine
