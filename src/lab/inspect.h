// What `inspect` tells about a model besides its configuration: where its bytes are, and what a
// sweep over it will cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor/dtype.h"
#include "engine/model/sweep.h"
#include "files/checkpoint.h"

namespace moescope::lab {

// Tensors of one kind and type. All of one expert's three matrices count as "experts", so the table
// has a line for each thing a person would want to shrink.
struct BytesRow {
  std::string kind;  // "experts" ("feed-forward" if dense), "attention", "router", "norms",
                     // "embedding", "output head"
  DType dtype = DType::kF32;
  uint64_t n_tensors = 0;  // a merged tensor counts once for each expert
  uint64_t n_bytes = 0;
};
// Largest first. Empty without weights. Tied embeddings count once.
std::vector<BytesRow> BytesByKind(const files::Checkpoint& checkpoint);

// What is assumed about the machine; the output states it.
struct SweepRates {
  double flops_per_second = 0;
  double disk_bytes_per_second = 0;
};

struct SweepForecast {
  engine::SweepPlan plan;
  uint64_t memory_bytes = 0;            // for the buffers of the sweep and the store
  uint64_t weight_bytes = 0;            // read once per wave
  bool weights_stay_in_memory = false;  // so later waves do not read the disk
  double compute_seconds_per_wave = 0;
  double disk_seconds_per_wave = 0;  // of a wave that reads all weights from disk

  // The slower of arithmetic and disk for each wave, since they overlap.
  double Seconds(int64_t n_tokens) const;
};

// weight_bytes: size of the weights, or what they would have as stored.
// Throws Error(kResource) when not even one sequence of `chunk` tokens fits.
SweepForecast ForecastSweep(const files::ModelConfig& config, uint64_t weight_bytes,
                            uint64_t memory_bytes, int chunk, int n_threads,
                            const SweepRates& rates);

}  // namespace moescope::lab
