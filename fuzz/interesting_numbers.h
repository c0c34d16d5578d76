// A mutator for binary formats: besides libFuzzer's own changes, overwrites 4 or 8 bytes somewhere
// near the start, where headers are, with a number that breaks parsers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" inline __attribute__((used)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                                                       size_t max_size,
                                                                       unsigned int seed) {
  constexpr uint64_t kNumbers[] = {0,
                                   1,
                                   ~uint64_t{0},
                                   ~uint64_t{0} - 1,
                                   uint64_t{1} << 63,
                                   uint64_t{1} << 31,
                                   uint64_t{1} << 32,
                                   (uint64_t{1} << 42) + 1};
  constexpr size_t kHeaderBytes = 16384;
  if (size < 16 || seed % 4 != 0) return LLVMFuzzerMutate(data, size, max_size);
  uint64_t number = kNumbers[(seed >> 2) % 8];
  size_t width = (seed >> 5) % 2 == 0 ? 4 : 8;
  size_t at = (seed >> 6) % std::min(size - width, kHeaderBytes);
  std::memcpy(data + at, &number, width);
  return size;
}
