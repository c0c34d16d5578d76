#include "engine/generate/counted_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> n_allocations{0};

}  // namespace

// Replacing these two replaces all forms but the over-aligned ones.
void* operator new(size_t size) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

int64_t moescope::engine::CountedAllocations() {
  return n_allocations.load(std::memory_order_relaxed);
}
