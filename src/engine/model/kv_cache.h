// Keys and values of one sequence in all layers: what lets a session go on where it stopped.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/platform/aligned_buffer.h"
#include "base/tensor/dtype.h"
#include "engine/ops/precision.h"
#include "files/model_config.h"

namespace moescope::engine {

// F32, F16 or Q8_0, by the name that `--kv` takes: "f32", "f16", "q8_0".
// Throws Error(kBadInput) for another name.
DType ParseKvType(std::string_view name);
// Throws Error(kBadInput) where the precision wants another type (`exact` keeps float32),
// Error(kUnsupported) where the type's blocks do not divide the model's heads.
void CheckKvType(const files::ModelConfig& config, Precision precision, DType type);

// Allocated once for `capacity` positions. Not thread-safe; a sweep writes disjoint parts.
class KvCache {
 public:
  // Requires: CheckKvType. Throws Error(kResource) when it cannot be allocated.
  KvCache(const files::ModelConfig& config, int64_t capacity, DType type = DType::kF32);

  int64_t capacity() const { return capacity_; }
  DType type() const { return type_; }
  int n_layers() const { return n_layers_; }
  int64_t head_dim() const { return head_dim_; }
  // Positions that have been run: the next row gets this position.
  int64_t length() const { return length_; }
  // Forgets the positions from `length` on, or takes in those a sweep has just written.
  // Requires: 0 <= length <= capacity().
  void set_length(int64_t length);

  // Values, and keys of other types than F32: head after head, each [capacity, head_dim], so that
  // what attention reads of a head lies in one piece.
  std::byte* Values(int layer, int64_t head) const {
    return values_.data() + (layer * n_heads_ + head) * capacity_ * row_bytes_;
  }
  std::byte* Keys(int layer, int64_t head) const {
    return keys_.data() + (layer * n_heads_ + head) * capacity_ * row_bytes_;
  }
  // Of a position in one head.
  int64_t row_bytes() const { return row_bytes_; }
  // Keys of type F32: head after head, transposed in tiles of kTileKeys positions, each
  // [head_dim, key_stride()]. A head's tiles follow each other.
  float* TransposedKeys(int layer, int64_t head) const {
    return reinterpret_cast<float*>(keys_.data()) +
           (layer * n_heads_ + head) * n_tiles_ * tile_stride();
  }
  int64_t key_stride() const { return key_stride_; }
  int64_t tile_stride() const { return head_dim_ * key_stride_; }

  // Copies the positions [begin, end) of a layer from another cache of the same model and type;
  // set_length takes them in. Layers may be copied at the same time.
  void CopyLayer(const KvCache& from, int layer, int64_t begin, int64_t end);

  static uint64_t Bytes(const files::ModelConfig& config, int64_t capacity,
                        DType type = DType::kF32);
  // What one more position takes, all layers.
  static uint64_t BytesOfPosition(const files::ModelConfig& config, DType type);

 private:
  void CopyTransposed(const KvCache& from, int layer, int64_t head, int64_t begin, int64_t end);

  DType type_;
  int n_layers_;
  int64_t n_heads_, head_dim_, row_bytes_, capacity_, key_stride_, n_tiles_;
  int64_t length_ = 0;
  AlignedBytes keys_, values_;
};

}  // namespace moescope::engine
