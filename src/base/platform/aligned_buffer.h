// Large working memory: allocated once, never initialised, on huge pages where the system has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace moescope {

// `n` elements of a plain type, aligned to a cache line, contents undefined.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  // `purpose` goes into the message. Throws Error(kResource) naming the size.
  AlignedBytes(uint64_t n_bytes, const char* purpose);
  ~AlignedBytes();
  AlignedBytes(AlignedBytes&& other) noexcept;
  AlignedBytes& operator=(AlignedBytes&& other) noexcept;

  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(uint64_t n, const char* purpose) : bytes_(n * sizeof(T), purpose), size_(n) {}
  T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
  uint64_t size() const { return size_; }
  std::span<T> span() const { return {data(), size_}; }

 private:
  AlignedBytes bytes_;
  uint64_t size_ = 0;
};

}  // namespace moescope
