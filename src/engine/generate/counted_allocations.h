// For tests: counts the allocations of the program it is linked into.
#pragma once

#include <cstdint>

namespace moescope::engine {

// Calls of operator new by all threads so far.
int64_t CountedAllocations();

}  // namespace moescope::engine
