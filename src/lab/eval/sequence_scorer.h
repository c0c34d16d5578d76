// Sequences through the engine for what they say of a model: how likely the last tokens of each
// are. Everything of `eval` but generated answers goes this way, wave by wave under --memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/parallel/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/ops/precision.h"
#include "lab/model_changes.h"
#include "lab/text_model.h"

namespace moescope::lab {

struct EvalOptions {
  ModelChanges changes = {};
  int n_threads = 0;          // 0: one a core
  uint64_t memory_bytes = 0;  // 0: half of what is available
  engine::Precision precision = engine::Precision::kExact;
};

// What an evaluation runs: a model with what is changed in its forward pass, and the threads.
struct EvalModel {
  // Throws Error as OpenTextModel and PlannedChanges: routes that a run stored are refused, since
  // the texts run here are others.
  EvalModel(const std::string& path, const EvalOptions& options);

  EvalOptions options;
  TextModel opened;
  ThreadPool pool;
  const engine::KernelTable& kernels;
  PlannedChanges changes;

  const files::ModelConfig& config() const { return opened.model->config(); }
};

struct ScoredSequence {
  std::vector<int32_t> ids;
  size_t first_scored = 1;  // tokens from here on are scored. Requires: >= 1, < ids.size()
};

struct ScoredTokens {
  size_t sequence = 0;
  std::span<const routing::RowInfo> rows;  // the scored tokens
  std::span<const float> losses;           // -log p of each, nats
  std::span<const int32_t> predictions;    // the likeliest token in its place, if asked for

  // How many tokens from the first on were the likeliest: what greedy writing has in common.
  size_t n_greedy() const;
};

struct ScoreCost {
  int64_t n_rows = 0, n_waves = 0;
  double flops = 0, seconds = 0;
};

// `make` fills sequence i, empty of an earlier one's tokens; it is called twice for each, in order,
// and must give the same. `take` gets the results in order. Losses are the same, bit for bit,
// whatever the threads, waves and other sequences. Throws Error(kResource) when memory does not
// hold the longest sequence, kCancelled, and as Sweep::Run.
ScoreCost ScoreSequences(EvalModel& model, size_t n_sequences,
                         FunctionRef<void(size_t, ScoredSequence&)> make,
                         FunctionRef<void(const ScoredTokens&)> take, bool predictions = false);

}  // namespace moescope::lab
