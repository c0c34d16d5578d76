// Keys and values of one sequence in all layers: what lets a session go on where it stopped.
#pragma once

#include <cstdint>

#include "base/platform/aligned_buffer.h"
#include "files/model_config.h"

namespace moescope::engine {

// float32, allocated once for `capacity` positions. Not thread-safe; a sweep writes disjoint parts.
class KvCache {
 public:
  // Throws Error(kResource) when it cannot be allocated.
  KvCache(const files::ModelConfig& config, int64_t capacity);

  int64_t capacity() const { return capacity_; }
  // Positions that have been run: the next row gets this position.
  int64_t length() const { return length_; }
  // Forgets the positions from `length` on, or takes in those a sweep has just written.
  // Requires: 0 <= length <= capacity().
  void set_length(int64_t length);

  // [kv_dim, key_stride()] transposed: element (dim, position) at dim * key_stride() + position.
  float* Keys(int layer) const { return keys_.data() + layer * kv_dim_ * key_stride_; }
  int64_t key_stride() const { return key_stride_; }
  // [capacity, kv_dim]
  float* Values(int layer) const { return values_.data() + layer * kv_dim_ * capacity_; }

  // Copies the positions [begin, end) of a layer from another cache of the same model; set_length
  // takes them in. Layers may be copied at the same time.
  void CopyLayer(const KvCache& from, int layer, int64_t begin, int64_t end);
  int n_layers() const { return n_layers_; }

  static uint64_t Bytes(const files::ModelConfig& config, int64_t capacity);

 private:
  int n_layers_;
  int64_t kv_dim_, capacity_, key_stride_;
  int64_t length_ = 0;
  AlignedBuffer<float> keys_, values_;
};

}  // namespace moescope::engine
