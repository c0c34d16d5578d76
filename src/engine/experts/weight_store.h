// Where weights live: mapped or in memory, and how many bytes of them were used. Knows bytes and
// identifiers, not arithmetic.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/platform/aligned_buffer.h"
#include "base/platform/file.h"
#include "files/checkpoint.h"

namespace moescope::engine {

// A stored matrix [rows, cols], row-major, rows of RowBytes(dtype, cols) bytes. `data` may have
// any alignment: a file decides it.
struct WeightMatrix {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  uint64_t n_bytes = 0;
};

class WeightStore {
 public:
  // read_into_memory: copies every tensor into one aligned allocation instead of mapping. Tensors
  // that are stored transposed are always copied.
  // The checkpoint must outlive the store. Throws Error(kNotFound, kIo, kResource, kCorrupt).
  WeightStore(const files::Checkpoint& checkpoint, bool read_into_memory);

  // The matrix of a tensor, valid while the store lives; a vector is [1, n]. Counts its bytes as
  // read once. Thread-safe.
  WeightMatrix Acquire(files::TensorId id);
  // Starts reading a mapped tensor in the background; does nothing for weights in memory.
  void Prefetch(files::TensorId id) const;

  // Bytes acquired since the store was opened: a wave reads each weight once, so after one wave
  // this is the size of the model.
  uint64_t bytes_acquired() const { return bytes_acquired_.load(std::memory_order_relaxed); }
  // Bytes held in memory by this store.
  uint64_t bytes_in_memory() const { return memory_.size(); }

 private:
  void Map();
  // All tensors, or those that lie transposed in their file and so cannot be mapped.
  void Read(bool all);
  const std::byte* Data(const files::TensorLocation& location) const;

  const files::Checkpoint& checkpoint_;
  std::vector<std::unique_ptr<MappedFile>> mapped_;  // one a file; empty when read into memory
  AlignedBytes memory_;
  std::map<files::TensorId, uint64_t> memory_offset_;
  std::atomic<uint64_t> bytes_acquired_{0};
};

}  // namespace moescope::engine
