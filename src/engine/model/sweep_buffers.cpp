#include "engine/model/sweep_buffers.h"

#include <algorithm>

#include "engine/ops/attention.h"
#include "engine/ops/matmul.h"
#include "engine/ops/rope.h"

namespace moescope::engine {

SweepShape SweepShape::Of(const files::ModelConfig& config, int experts_per_token,
                          int64_t wave_rows, int64_t max_sequence, int n_threads,
                          Precision precision) {
  return {.model_dim = config.model_dim,
          .query_dim = config.query_dim(),
          .kv_dim = config.kv_dim(),
          .head_dim = config.head_dim,
          .ffn_dim = config.ffn_dim,
          .vocab_size = config.vocab_size,
          .n_experts = config.n_feed_forwards(),
          .experts_per_token = config.dense() ? 1 : experts_per_token,
          .wave_rows = wave_rows,
          .max_sequence = max_sequence,
          .n_threads = n_threads,
          .precision = precision};
}

uint64_t SweepShape::SharedFloats() const {
  uint64_t attention = Product(wave_rows, query_dim + kv_dim) + KeyFloats();
  return std::max(attention, SlotCount() * static_cast<uint64_t>(model_dim));
}

int64_t SweepShape::HiddenRows() const {
  int64_t most = wave_rows * experts_per_token;
  return std::min(most + kMaxBlockRows, std::max<int64_t>(n_threads * kMaxBlockRows, 1024));
}

int64_t SweepShape::UpColumns() const {
  const int64_t columns = TileColumns(model_dim);
  return precision == Precision::kFast ? std::max(columns, kTiledColumns) : columns;
}

int64_t SweepShape::HeadRows() const {
  constexpr int64_t kLogitFloats = 512 * 1024;
  return std::clamp<int64_t>(kLogitFloats / vocab_size / 16 * 16, 16, kMaxBlockRows);
}

uint64_t SweepShape::WorkerFloats() const {
  const uint64_t tile =
      std::max({TileFloats(model_dim), TileFloats(query_dim), TileFloats(ffn_dim)});
  const uint64_t block = kMaxBlockRows;
  const uint64_t attention = AttentionFloats(kQueryBlock, max_sequence, head_dim);
  const uint64_t up = block * static_cast<uint64_t>(UpColumns());
  auto rounded = [&](int64_t n_rows, int64_t k) {
    return precision == Precision::kFast ? RoundedFloats(n_rows, k) : 0;
  };
  const uint64_t projections = tile + block * std::max(kv_dim, model_dim) +
                               rounded(kMaxBlockRows, std::max(model_dim, query_dim));
  const uint64_t experts =
      tile + std::max(block * model_dim + up + rounded(kMaxBlockRows, model_dim),
                      rounded(kMaxBlockRows, ffn_dim));
  const uint64_t head =
      tile + Product(HeadRows(), model_dim + vocab_size) + rounded(HeadRows(), model_dim);
  // A whole number of cache lines, so that no two workers share one.
  return (std::max({attention, projections, experts, head}) + 15) / 16 * 16;
}

uint64_t SweepShape::TotalBytes() const {
  uint64_t floats = 2 * ResidualFloats() + SharedFloats() + RouterFloats() + SlotCount() +
                    HiddenFloats() + static_cast<uint64_t>(wave_rows) +
                    static_cast<uint64_t>(n_threads) * WorkerFloats();
  return floats * sizeof(float) + SlotCount() * (2 * sizeof(int64_t) + 2 * sizeof(int16_t)) +
         RopeTable::Bytes(static_cast<int>(head_dim), max_sequence);
}

int64_t KeyStride(int64_t n_rows) {
  if (n_rows < 64) return n_rows;
  const int64_t lines = (n_rows + 15) / 16;
  return (lines | 1) * 16;
}

SweepBuffers::SweepBuffers(const SweepShape& shape)
    : residual(shape.ResidualFloats(), "the residual stream"),
      normed(shape.ResidualFloats(), "normed activations"),
      shared(shape.SharedFloats(), "attention and expert outputs"),
      router_logits(shape.RouterFloats(), "router logits"),
      experts(shape.SlotCount(), "chosen experts"),
      weights(shape.SlotCount(), "routing weights"),
      output_index(shape.SlotCount(), "expert assignments"),
      assignment_row(shape.SlotCount(), "expert assignments"),
      assignment_slot(shape.SlotCount(), "expert assignments"),
      hidden(shape.HiddenFloats(), "hidden rows of experts"),
      losses(static_cast<uint64_t>(shape.wave_rows), "losses"),
      worker(static_cast<uint64_t>(shape.n_threads) * shape.WorkerFloats(), "worker scratch") {}

}  // namespace moescope::engine
