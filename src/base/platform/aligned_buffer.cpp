#include "base/platform/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"

namespace moescope {
namespace {

constexpr uint64_t kCacheLine = 64;
constexpr uint64_t kHugePage = uint64_t{2} << 20;

}  // namespace

AlignedBytes::AlignedBytes(uint64_t n_bytes, const char* purpose) : size_(n_bytes) {
  const uint64_t alignment = n_bytes >= 2 * kHugePage ? kHugePage : kCacheLine;
  const uint64_t rounded = (n_bytes + alignment - 1) / alignment * alignment;
  void* memory = rounded < n_bytes ? nullptr : std::aligned_alloc(alignment, rounded + alignment);
  if (memory == nullptr) {
    throw Error(ErrorKind::kResource, "cannot allocate memory for " + std::string(purpose) +
                                          ": needed " + FormatBytes(n_bytes) + ", available " +
                                          FormatBytes(AvailableMemoryBytes()) +
                                          "; give less work at a time or free memory");
  }
  data_ = static_cast<std::byte*>(memory);
  // Fewer TLB misses; without effect where huge pages are off.
  if (alignment == kHugePage) madvise(data_, rounded, MADV_HUGEPAGE);
}

AlignedBytes::~AlignedBytes() {
  std::free(data_);
}

AlignedBytes::AlignedBytes(AlignedBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBytes& AlignedBytes::operator=(AlignedBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace moescope
