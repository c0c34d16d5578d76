#include "lab/eval/sequence_scorer.h"

#include <algorithm>
#include <chrono>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "engine/model/sweep.h"
#include "lab/precision_note.h"
#include "lab/progress_probe.h"

namespace moescope::lab {
namespace {

using Clock = std::chrono::steady_clock;

// How long the sequences are, so that buffers are made once.
struct Extent {
  size_t longest = 0, n_rows = 0;
};

Extent Measure(size_t n_sequences, FunctionRef<void(size_t, ScoredSequence&)> make) {
  Extent extent;
  ScoredSequence sequence;
  for (size_t i = 0; i < n_sequences; ++i) {
    ThrowIfCancelled();
    sequence.ids.clear();
    make(i, sequence);
    MOESCOPE_CHECK(sequence.first_scored >= 1 && sequence.first_scored < sequence.ids.size());
    extent.longest = std::max(extent.longest, sequence.ids.size());
    extent.n_rows += sequence.ids.size();
  }
  return extent;
}

int64_t WaveRows(const EvalModel& model, const Extent& extent, bool predictions) {
  const uint64_t memory =
      model.options.memory_bytes > 0 ? model.options.memory_bytes : AvailableMemoryBytes() / 2;
  files::ModelConfig config = model.config();
  if (!config.dense()) config.experts_per_token = model.changes.experts_per_token();
  const uint64_t per_row = sizeof(routing::RowInfo) + (predictions ? sizeof(int32_t) : 0);
  const engine::SweepPlan plan =
      engine::PlanSweep(config, memory, static_cast<int>(extent.longest), model.pool.n_threads(),
                        per_row, model.options.precision);
  return std::min(plan.wave_rows, static_cast<int64_t>(extent.n_rows));
}

}  // namespace

EvalModel::EvalModel(const std::string& path, const EvalOptions& given)
    : options(given),
      opened(OpenTextModel(path)),
      pool(given.n_threads),
      kernels(engine::SelectKernels()),
      changes(given.changes, *opened.model, Setting::kSession) {
  PrintPrecisionNote(*opened.model, options.precision);
}

size_t ScoredTokens::n_greedy() const {
  size_t n = 0;
  while (n < predictions.size() && predictions[n] == rows[n].token_id) ++n;
  return n;
}

ScoreCost ScoreSequences(EvalModel& model, size_t n_sequences,
                         FunctionRef<void(size_t, ScoredSequence&)> make,
                         FunctionRef<void(const ScoredTokens&)> take, bool predictions) {
  ScoreCost cost;
  const Extent extent = Measure(n_sequences, make);
  if (n_sequences == 0) return cost;
  const int64_t wave_rows = WaveRows(model, extent, predictions);
  engine::Sweep sweep(*model.opened.model, model.kernels, model.pool,
                      {.wave_rows = wave_rows,
                       .max_sequence = static_cast<int>(extent.longest),
                       .predictions = predictions,
                       .experts_per_token = model.changes.experts_per_token(),
                       .precision = model.options.precision});
  ProgressProbe progress("eval", extent.n_rows * static_cast<uint64_t>(model.config().n_layers));
  std::vector<routing::Probe*> probes = model.changes.probes();
  probes.push_back(&progress);

  engine::Wave wave;
  std::vector<size_t> first_scored;  // of each sequence of the wave
  size_t first = 0;                  // of the wave
  auto run = [&] {
    ThrowIfCancelled();
    sweep.Run(wave, probes);
    for (size_t s = 0; s < first_scored.size(); ++s) {
      // The loss of a token stands at the row before it.
      const auto begin = static_cast<size_t>(wave.sequence_begin[s]) + first_scored[s] - 1;
      const size_t n = static_cast<size_t>(wave.sequence_begin[s + 1]) - 1 - begin;
      take({.sequence = first + s,
            .rows = std::span(wave.rows).subspan(begin + 1, n),
            .losses = sweep.losses().subspan(begin, n),
            .predictions =
                predictions ? sweep.predictions().subspan(begin, n) : std::span<const int32_t>()});
    }
    cost.n_rows += wave.n_rows();
    cost.flops += sweep.flops();
    ++cost.n_waves;
    first += first_scored.size();
    wave.clear();
    first_scored.clear();
  };
  const Clock::time_point start = Clock::now();
  ScoredSequence sequence;
  for (size_t i = 0; i < n_sequences; ++i) {
    sequence.ids.clear();
    make(i, sequence);
    if (wave.n_rows() + static_cast<int64_t>(sequence.ids.size()) > wave_rows) run();
    wave.Add(static_cast<int64_t>(i), /*branch=*/0, sequence.ids);
    first_scored.push_back(sequence.first_scored);
  }
  run();
  cost.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return cost;
}

}  // namespace moescope::lab
