// The layer-major forward pass: a wave of whole sequences goes through layer 0, then layer 1, ...;
// each weight is read once per wave. Numeric contract: docs/numerics.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/kv_cache.h"
#include "engine/model/model.h"
#include "engine/model/profile.h"
#include "engine/ops/precision.h"
#include "routing/probe.h"

namespace moescope::engine {

// Rows of a wave, sequence after sequence (a branch is one too); a sequence's rows are consecutive,
// positions 0, 1, ... or those after the ones its cache holds.
struct Wave {
  std::vector<routing::RowInfo> rows;
  // First row of each sequence, and rows.size() at the end.
  std::vector<int64_t> sequence_begin;
  // Of each sequence; null: it begins here and nothing of it is kept.
  std::vector<KvCache*> caches;
  // Of each sequence; a fork shares all up to the router of a layer with an earlier sequence.
  struct Fork {
    int64_t of = -1;  // which sequence of this wave; -1: it runs from the embedding on
    int layer = 0;
  };
  std::vector<Fork> forks;
  // What its rows are run for, whichever their number. Prompts and sampled tokens do not share a
  // wave.
  Phase phase = Phase::kPrefill;
  // The cache, if any, must outlive the wave and have room.
  void Add(int64_t sequence, int32_t branch, std::span<const int32_t> token_ids,
           KvCache* cache = nullptr);
  // A branch of the sequence `of` of this wave whose routing differs from `layer` on.
  // Requires: sequences come before forks, forks in the order of their layers; `of` is no fork and
  // has no cache.
  void AddFork(int64_t of, int32_t branch, int layer);
  // Empties it; the phase is kPrefill again.
  void clear();
  // So that adding as many rows and sequences allocates nothing.
  void Reserve(size_t n_rows, size_t n_sequences);
  int64_t n_rows() const { return static_cast<int64_t>(rows.size()); }
};

// What a wave of so many rows costs, and the largest one that fits.
struct SweepPlan {
  uint64_t bytes_per_row = 0;  // residual, slots, router logits, ...
  uint64_t fixed_bytes = 0;    // scratch of the workers, one layer's K/V and micro-batches
  int64_t wave_rows = 0;       // rows a wave may have
  double flops_per_row = 0;    // at the longest sequence, head included
};
// memory_bytes: what the sweep may allocate (weights that are mapped are not counted).
// max_sequence: rows of the longest sequence; extra_bytes_per_row: what the caller keeps for each
// row of a wave. Throws Error(kResource) naming needed and available
// bytes when not even one such sequence fits.
SweepPlan PlanSweep(const files::ModelConfig& config, uint64_t memory_bytes, int max_sequence,
                    int n_threads, uint64_t extra_bytes_per_row = 0,
                    Precision precision = Precision::kExact);

// Floating-point operations of one row of a sequence of `n_rows`, the head included, on average.
double FlopsPerRow(const files::ModelConfig& config, int n_rows);

struct SweepOptions {
  int64_t wave_rows = 0;      // capacity, from the plan
  int max_sequence = 0;       // positions a sequence may have, those in its cache included
  bool losses = true;         // run the head on all rows
  bool predictions = false;   // and keep its choice, 4 bytes a row; only with losses
  int experts_per_token = 0;  // other than the model's own; 0: the model's
  Precision precision = Precision::kExact;
  Profile* profile = nullptr;  // of as many threads as the pool; must outlive the sweep
};

// Owns the buffers of a wave (allocated once). One thread calls it; it spreads work on the pool.
class Sweep {
 public:
  // Throws Error(kResource) when the buffers cannot be allocated.
  Sweep(const Model& model, const KernelTable& kernels, ThreadPool& pool,
        const SweepOptions& options);
  ~Sweep();

  // Runs the wave. Afterwards losses() [n_rows] holds -log p(next token) in nats, NaN at the last
  // row of each sequence, and caches hold the new rows as well. Probes see each layer in order;
  // those that edit come into force in the order given, and the edits of one that has not declared
  // them are discarded. Probes see a fork from the residual after attention of its layer on.
  // Requires: rows and sequences within the options; no cache twice. Throws Error(kBadInput) for
  // token ids outside the vocabulary, Error(kCorrupt) at the first (lowest layer, then row)
  // non-finite activation, naming layer, expert and token; kCancelled. The sweep can be used again
  // afterwards, and caches are as long as before.
  void Run(const Wave& wave, std::span<routing::Probe* const> probes);
  std::span<const float> losses() const;
  // [n_rows] the token with the largest logit after each row of the last Run, ties to the lower id.
  // Requires: the option.
  std::span<const int32_t> predictions() const;

  // Floating-point operations of the last Run: products only, two for each multiply-add.
  double flops() const;

  // Logits of the given rows after Run, [rows.size(), vocab_size]. The head is read once for 256.
  // Requires: `out` has room for them.
  void Logits(std::span<const int64_t> rows, std::span<float> out);
  std::vector<float> Logits(std::span<const int64_t> rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::engine
