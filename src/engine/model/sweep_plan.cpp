#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "engine/model/sweep_buffers.h"

namespace moescope::engine {
namespace {

// Waves are kept below ten minutes, so that a kill loses little. The rate is what AVX2 cores reach
// in float32 (performance goals: 70 % of 60 to 99 GFLOP/s a core); a faster machine has shorter
// waves.
constexpr double kMaxWaveSeconds = 600;
constexpr double kFlopsPerSecondPerThread = 50e9;

// More rows only help until every expert has full micro-batches and every worker many tasks;
// beyond that the wave's buffers fall out of the cache. So the default stops at whichever is
// larger: 4,096 rows, or what keeps the buffers at 64 MB.
constexpr int64_t kAmpleRows = 4096;
constexpr uint64_t kCacheBytes = 64 << 20;

}  // namespace

// Multiply-adds of one row times two: projections, attention at the mean causal length, router,
// chosen experts and the head.
double FlopsPerRow(const files::ModelConfig& config, int n_rows) {
  const SweepShape shape =
      SweepShape::Of(config, config.experts_per_token, 1, n_rows, 1, Precision::kExact);
  double d = static_cast<double>(shape.model_dim);
  double q = static_cast<double>(shape.query_dim);
  double projections = d * (2 * q + 2 * static_cast<double>(shape.kv_dim));
  double keys = (n_rows + 1) / 2.0;
  if (config.sliding_window > 0) keys = std::min<double>(keys, config.sliding_window);
  double attention = 2 * q * keys;
  double router = d * config.n_experts;
  double matrices = config.feed_forward == files::FeedForwardKind::kSwiGlu ? 3 : 2;
  double experts = matrices * d * config.ffn_dim * static_cast<double>(shape.experts_per_token);
  double layers = (projections + attention + router + experts) * config.n_layers;
  return 2 * (layers + d * config.vocab_size);
}

SweepPlan PlanSweep(const files::ModelConfig& config, uint64_t memory_bytes, int max_sequence,
                    int n_threads, uint64_t extra_bytes_per_row, Precision precision) {
  MOESCOPE_CHECK(max_sequence > 0 && n_threads > 0);
  auto total = [&](int64_t rows) {
    uint64_t extra = extra_bytes_per_row * static_cast<uint64_t>(rows);
    return extra + SweepShape::Of(config, config.experts_per_token, rows, max_sequence, n_threads,
                                  precision)
                       .TotalBytes();
  };
  // Large enough that the buffers bounded by a constant have reached it: linear from here on.
  constexpr int64_t kLinear = int64_t{1} << 24;
  SweepPlan plan;
  plan.bytes_per_row = (total(2 * kLinear) - total(kLinear)) / kLinear;
  plan.fixed_bytes = total(kLinear) - plan.bytes_per_row * kLinear;
  plan.flops_per_row = FlopsPerRow(config, max_sequence);

  const uint64_t needed = total(max_sequence);
  if (needed > memory_bytes) {
    throw Error(ErrorKind::kResource,
                "not enough memory for a sweep: one sequence of " + FormatCount(max_sequence) +
                    " rows needs " + FormatBytes(needed) + ", available " +
                    FormatBytes(memory_bytes) + "; give more with --memory or cut with --chunk");
  }
  const int64_t fits = memory_bytes > plan.fixed_bytes
                           ? static_cast<int64_t>((memory_bytes - plan.fixed_bytes) /
                                                  std::max<uint64_t>(plan.bytes_per_row, 1))
                           : 0;
  const int64_t in_time = static_cast<int64_t>(kMaxWaveSeconds * kFlopsPerSecondPerThread *
                                               n_threads / plan.flops_per_row);
  const int64_t ample = std::max<int64_t>(
      {kAmpleRows, static_cast<int64_t>(kCacheBytes / plan.bytes_per_row), 64 * n_threads});
  int64_t rows = std::min({fits, in_time, ample});
  // Whole multiples of the longest sequence leave no room unused when documents are cut into
  // chunks.
  rows = rows / max_sequence * max_sequence;
  plan.wave_rows = std::max<int64_t>(rows, max_sequence);
  return plan;
}

}  // namespace moescope::engine
