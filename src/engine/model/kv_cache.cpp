#include "engine/model/kv_cache.h"

#include <algorithm>

#include "base/error.h"
#include "engine/model/sweep_buffers.h"

namespace moescope::engine {
namespace {

uint64_t Floats(const files::ModelConfig& config, int64_t positions) {
  return static_cast<uint64_t>(config.n_layers) * static_cast<uint64_t>(config.kv_dim()) *
         static_cast<uint64_t>(positions);
}

}  // namespace

KvCache::KvCache(const files::ModelConfig& config, int64_t capacity)
    : n_layers_(config.n_layers),
      kv_dim_(config.kv_dim()),
      capacity_(capacity),
      key_stride_(KeyStride(capacity)),
      keys_(Floats(config, key_stride_), "the keys of a session"),
      values_(Floats(config, capacity), "the values of a session") {}

void KvCache::set_length(int64_t length) {
  MOESCOPE_CHECK(0 <= length && length <= capacity_);
  length_ = length;
}

void KvCache::CopyLayer(const KvCache& from, int layer, int64_t begin, int64_t end) {
  MOESCOPE_CHECK(0 <= begin && begin <= end && end <= std::min(capacity_, from.capacity_));
  MOESCOPE_CHECK(kv_dim_ == from.kv_dim_ && n_layers_ == from.n_layers_);
  for (int64_t dim = 0; dim < kv_dim_; ++dim) {
    const float* keys = from.Keys(layer) + dim * from.key_stride_;
    std::copy(keys + begin, keys + end, Keys(layer) + dim * key_stride_ + begin);
  }
  const float* values = from.Values(layer);
  std::copy(values + begin * kv_dim_, values + end * kv_dim_, Values(layer) + begin * kv_dim_);
}

uint64_t KvCache::Bytes(const files::ModelConfig& config, int64_t capacity) {
  return (Floats(config, KeyStride(capacity)) + Floats(config, capacity)) * sizeof(float);
}

}  // namespace moescope::engine
