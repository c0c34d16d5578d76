#include "engine/model/kv_cache.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "engine/model/sweep_buffers.h"
#include "engine/ops/attention.h"

namespace moescope::engine {
namespace {

uint64_t RowBytesOf(const files::ModelConfig& config, DType type) {
  return RowBytes(type, static_cast<uint64_t>(config.head_dim)).value();
}

// Keys or values of all layers and heads.
uint64_t AllRowBytes(const files::ModelConfig& config, int64_t n_positions, DType type) {
  return static_cast<uint64_t>(config.n_layers) * static_cast<uint64_t>(config.n_kv_heads) *
         static_cast<uint64_t>(n_positions) * RowBytesOf(config, type);
}

int64_t NTiles(int64_t capacity) {
  return (capacity + kTileKeys - 1) / kTileKeys;
}

// Float32 keys are transposed, with some room between the dimensions of a tile.
int64_t TileStride(int64_t capacity) {
  return KeyStride(std::min<int64_t>(capacity, kTileKeys));
}

// As many positions as take the memory of the keys.
int64_t KeyPositions(int64_t capacity, DType type) {
  return type == DType::kF32 ? NTiles(capacity) * TileStride(capacity) : capacity;
}

}  // namespace

DType ParseKvType(std::string_view name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "q8_0") return DType::kQ8_0;
  throw Error(ErrorKind::kBadInput,
              "--kv: expected f32, f16 or q8_0, found '" + std::string(name) + "'");
}

void CheckKvType(const files::ModelConfig& config, Precision precision, DType type) {
  if (precision == Precision::kExact && type != DType::kF32) {
    throw Error(ErrorKind::kBadInput, "--kv: precision exact keeps keys and values as f32, found " +
                                          std::string(Name(type)) +
                                          "; give --precision fast with it");
  }
  if (RowBytes(type, static_cast<uint64_t>(config.head_dim)).has_value()) return;
  throw Error(ErrorKind::kUnsupported, "--kv: " + std::string(Name(type)) + " has blocks of " +
                                           std::to_string(Info(type).block_elements) +
                                           " values, the model's heads have " +
                                           std::to_string(config.head_dim) + "; give f16 or f32");
}

KvCache::KvCache(const files::ModelConfig& config, int64_t capacity, DType type)
    : type_(type),
      n_layers_(config.n_layers),
      n_heads_(config.n_kv_heads),
      head_dim_(config.head_dim),
      row_bytes_(static_cast<int64_t>(RowBytesOf(config, type))),
      capacity_(capacity),
      key_stride_(TileStride(capacity)),
      n_tiles_(NTiles(capacity)),
      keys_(AllRowBytes(config, KeyPositions(capacity, type), type), "the keys of a session"),
      values_(AllRowBytes(config, capacity, type), "the values of a session") {}

void KvCache::set_length(int64_t length) {
  MOESCOPE_CHECK(0 <= length && length <= capacity_);
  length_ = length;
}

void KvCache::CopyLayer(const KvCache& from, int layer, int64_t begin, int64_t end) {
  MOESCOPE_CHECK(0 <= begin && begin <= end && end <= std::min(capacity_, from.capacity_));
  MOESCOPE_CHECK(type_ == from.type_ && n_layers_ == from.n_layers_);
  MOESCOPE_CHECK(n_heads_ == from.n_heads_ && head_dim_ == from.head_dim_);
  const int64_t first = begin * row_bytes_, last = end * row_bytes_;
  for (int64_t head = 0; head < n_heads_; ++head) {
    const std::byte* values = from.Values(layer, head);
    std::copy(values + first, values + last, Values(layer, head) + first);
    if (type_ == DType::kF32) {
      CopyTransposed(from, layer, head, begin, end);
    } else {
      const std::byte* keys = from.Keys(layer, head);
      std::copy(keys + first, keys + last, Keys(layer, head) + first);
    }
  }
}

void KvCache::CopyTransposed(const KvCache& from, int layer, int64_t head, int64_t begin,
                             int64_t end) {
  for (int64_t position = begin; position < end;) {
    const int64_t tile = position / kTileKeys, in_tile = position % kTileKeys;
    const int64_t n = std::min(kTileKeys - in_tile, end - position);
    const float* keys = from.TransposedKeys(layer, head) + tile * from.tile_stride() + in_tile;
    float* out = TransposedKeys(layer, head) + tile * tile_stride() + in_tile;
    for (int64_t dim = 0; dim < head_dim_; ++dim) {
      std::copy(keys, keys + n, out);
      keys += from.key_stride_;
      out += key_stride_;
    }
    position += n;
  }
}

uint64_t KvCache::Bytes(const files::ModelConfig& config, int64_t capacity, DType type) {
  return AllRowBytes(config, KeyPositions(capacity, type), type) +
         AllRowBytes(config, capacity, type);
}

uint64_t KvCache::BytesOfPosition(const files::ModelConfig& config, DType type) {
  return 2 * AllRowBytes(config, 1, type);
}

}  // namespace moescope::engine
