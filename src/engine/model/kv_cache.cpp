#include "engine/model/kv_cache.h"

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
    : kv_dim_(config.kv_dim()),
      capacity_(capacity),
      key_stride_(KeyStride(capacity)),
      keys_(Floats(config, key_stride_), "the keys of a session"),
      values_(Floats(config, capacity), "the values of a session") {}

void KvCache::set_length(int64_t length) {
  MOESCOPE_CHECK(0 <= length && length <= capacity_);
  length_ = length;
}

uint64_t KvCache::Bytes(const files::ModelConfig& config, int64_t capacity) {
  return (Floats(config, KeyStride(capacity)) + Floats(config, capacity)) * sizeof(float);
}

}  // namespace moescope::engine
