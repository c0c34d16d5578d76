// Memory of the machine and of this process.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace moescope {

uint64_t TotalMemoryBytes();
// What can be allocated now without swapping: MemAvailable, or the cgroup's remainder or what is
// left of the process' address space (ulimit -v) if smaller.
uint64_t AvailableMemoryBytes();
// Peak resident set of this process so far (anonymous plus resident mapped pages).
uint64_t PeakResidentBytes();

// Tells the system that mapped bytes will be read soon. A hint: never fails.
void PrefetchMapped(ByteSpan bytes);

}  // namespace moescope
