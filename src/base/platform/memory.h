// Memory of the machine and of this process.
#pragma once

#include <cstdint>

namespace moescope {

uint64_t TotalMemoryBytes();
// What can be allocated now without swapping: MemAvailable, or the cgroup's remainder if smaller.
uint64_t AvailableMemoryBytes();
// Peak resident set of this process so far (anonymous plus resident mapped pages).
uint64_t PeakResidentBytes();

}  // namespace moescope
