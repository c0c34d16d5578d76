// Memory of the machine and of this process.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace moescope {

uint64_t TotalMemoryBytes();
// What can be allocated now without swapping: MemAvailable, or the cgroup's remainder if smaller.
uint64_t AvailableMemoryBytes();
// Peak resident set of this process so far (anonymous plus resident mapped pages).
uint64_t PeakResidentBytes();

// Anonymous memory, zero at first, in huge pages where there are any; given back at the end. For
// large buffers that are streamed through.
class LargeMemory {
 public:
  // Throws Error(kResource) naming the bytes.
  explicit LargeMemory(uint64_t n_bytes);
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  LargeMemory& operator=(const LargeMemory&) = delete;

  std::byte* data() { return data_; }
  uint64_t size() const { return n_bytes_; }

 private:
  uint64_t n_bytes_;
  std::byte* data_;
};

// Tells the system that mapped bytes will be read soon. A hint: never fails.
void PrefetchMapped(ByteSpan bytes);

}  // namespace moescope
