// The memory of a sweep: how much each buffer takes, in one place, so that the plan and the
// allocation cannot disagree.
#pragma once

#include <cstdint>

#include "base/platform/aligned_buffer.h"
#include "engine/ops/precision.h"
#include "files/model_config.h"

namespace moescope::engine {

// Rows of a task: enough to use a dequantised weight often, few enough for a second-level cache.
inline constexpr int kMaxBlockRows = 256;

struct SweepShape {
  int64_t model_dim, query_dim, kv_dim, head_dim, ffn_dim, vocab_size;
  int64_t n_experts, experts_per_token;
  int64_t wave_rows, max_sequence, n_threads;
  Precision precision;

  static SweepShape Of(const files::ModelConfig& config, int experts_per_token, int64_t wave_rows,
                       int64_t max_sequence, int n_threads, Precision precision);

  // Elements of each buffer.
  uint64_t ResidualFloats() const { return Product(wave_rows, model_dim); }
  // One layer's queries, values and transposed keys while attention runs; afterwards the expert
  // outputs [wave_rows * experts_per_token, model_dim] in the same place.
  uint64_t SharedFloats() const;
  uint64_t KeyFloats() const { return Product(wave_rows + wave_rows / 2, kv_dim); }
  uint64_t RouterFloats() const { return Product(wave_rows, n_experts); }
  uint64_t SlotCount() const { return Product(wave_rows, experts_per_token); }
  // Hidden rows of experts held at once: one block a worker, or a micro-batch of 1,024.
  int64_t HiddenRows() const;
  uint64_t HiddenFloats() const { return Product(HiddenRows(), ffn_dim); }
  // Scratch of one worker, the largest over the phases of a layer and the head.
  uint64_t WorkerFloats() const;
  // Columns of the hidden rows that an expert computes at a time, at most.
  int64_t UpColumns() const;
  // Rows the head takes at a time: their logits should stay in a second-level cache.
  int64_t HeadRows() const;

  // All buffers but the weights.
  uint64_t TotalBytes() const;

 private:
  static uint64_t Product(int64_t a, int64_t b) {
    return static_cast<uint64_t>(a) * static_cast<uint64_t>(b);
  }
};

// Distance in floats between the transposed keys of two dimensions of a sequence of n rows: an
// odd number of cache lines, so that columns do not fall on the same cache sets. At most 1.5 n.
int64_t KeyStride(int64_t n_rows);

struct SweepBuffers {
  explicit SweepBuffers(const SweepShape& shape);

  AlignedBuffer<float> residual;        // [wave_rows, model_dim]
  AlignedBuffer<float> normed;          // [wave_rows, model_dim]
  AlignedBuffer<float> shared;          // see SharedFloats
  AlignedBuffer<float> router_logits;   // [wave_rows, n_experts]
  AlignedBuffer<int16_t> experts;       // [wave_rows, experts_per_token]
  AlignedBuffer<float> weights;         // [wave_rows, experts_per_token]
  AlignedBuffer<int64_t> output_index;  // [wave_rows, experts_per_token]: row of the output, or -1
  AlignedBuffer<int64_t> assignment_row;   // [wave_rows * experts_per_token], by expert
  AlignedBuffer<int16_t> assignment_slot;  // the same
  AlignedBuffer<float> hidden;             // [HiddenRows, ffn_dim]
  AlignedBuffer<float> losses;             // [wave_rows]
  AlignedBuffer<float> worker;             // [n_threads, WorkerFloats]
};

}  // namespace moescope::engine
