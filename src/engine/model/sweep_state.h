// The parts of a running sweep, phase by phase. A layer is five parallel loops, each over blocks of
// rows (and, when those are few, ranges of output columns): norm, projections, attention, output
// and routing, experts. A loop may start only when the one before it has ended.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "engine/model/expert_blocks.h"
#include "engine/model/probe_set.h"
#include "engine/model/sweep.h"
#include "engine/model/sweep_buffers.h"
#include "engine/ops/matmul.h"
#include "engine/ops/rope.h"

namespace moescope::engine {

struct Sweep::State {
  State(const Model& model, const KernelTable& kernels, ThreadPool& pool,
        const SweepOptions& options);

  void Run(const Wave& wave, std::span<routing::Probe* const> probes);
  void Logits(std::span<const int64_t> rows, std::span<float> out);

  struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
  };
  // Where the keys and values of a sequence lie in the layer being run. Float32: keys of a head as
  // AttentionBlock has them, its values at a position at values[position * value_stride]. Of other
  // types: rows in the cache.
  struct SequencePlace {
    float* keys;
    int64_t key_stride, tile_stride, key_head_stride;
    float* values;
    int64_t value_stride, value_head_stride;
    int64_t first_position;  // of its rows in this wave
    const KvCache* cache;    // or null
    bool stored() const { return cache != nullptr && cache->type() != DType::kF32; }
  };
  struct AttentionTask {
    int64_t sequence;
    int first_position, n_queries;
  };
  // The lowest row of a phase in which something was not finite.
  struct NonFinite {
    int64_t row = -1;
    int expert = -1;
    const char* what = "";
  };

  // Setting up a wave (sweep.cpp).
  void CheckWave() const;
  void PlaceSequences();
  void PlaceCaches();
  void AcquireLayer(int next_layer);
  void PrefetchLayer(int next_layer);
  // Loops over blocks of rows, with a poll for cancellation in each.
  void ForRows(int64_t most_rows, FunctionRef<void(Range rows, int worker)> fn);
  // Loops over blocks of rows times ranges of `n_units` columns or heads; all blocks of a range
  // follow each other, so that its weights are read once.
  void ForTiles(int64_t n_units, FunctionRef<void(Range rows, Range units, int worker)> fn);
  // True when the wave has so many blocks of rows that ForTiles gives each task all columns.
  bool WholeRowTasks() const;
  // The rows, rounded in `scratch` if the precision rounds those that meet one of the matrices.
  Activations Rounded(Rows x, int64_t k, std::initializer_list<const WeightMatrix*> meets,
                      float* scratch) const;
  void Note(int worker, const NonFinite& found);
  TaskTimer Timer(Work work, int worker) const { return {options.profile, work, layer, worker}; }
  // Counts attention and router of the rows that run in this layer; experts and head at the end.
  void CountLayer();
  void CountFeedForward();
  // Throws Error(kCorrupt) when a task of the last loop noted something.
  void ThrowIfNonFinite();

  // Embedding, projections, attention (sweep_attention.cpp).
  void Embed(const NormWeights& next_norm);
  void Project();
  void ProjectTile(Range rows, Range heads, int worker);
  void ProjectPart(const Activations& x, const WeightMatrix& w, std::span<const float> bias,
                   Range dims, Rows out, float* tile);
  void NormHeads(std::span<const float> norm, Range dims, Rows out);
  void StoreKeys(Range rows, Range dims, float* block);
  void StoreValues(Range rows, Range dims, float* block);
  // Calls fn(sequence, rows of it) for each sequence that has some of `rows`.
  void ForSequences(Range rows, FunctionRef<void(size_t sequence, Range rows)> fn) const;
  void RunAttention();
  void CountAttention(const AttentionTask& task, TaskTimer& timer) const;
  void CallHeadProbes();
  void ProjectOutput();
  void AddAttended(Range rows, Range columns, int worker);
  // What follows the attention of whole rows: probes, norm, routing.
  void FinishAttention(Range rows, int worker);
  void NormRows(Range rows, const NormWeights& norm);

  // Forks (sweep_fork.cpp). Rows, sequences and attention tasks of the wave are in the order in
  // which they join, so those that run are the first ones.
  void StartWithoutForks();
  void Admit(size_t n);  // the first n sequences
  // Takes in the forks of this layer: they get the residual of their source and are routed.
  void JoinForks();

  // Routing and experts (sweep_moe.cpp).
  void Route(Range rows, int worker);
  void RouteDense(Range rows);
  void RunExperts();
  // Where experts are streamed (sweep_streaming.cpp): tells the schedule what the layer uses, and
  // what its rows will probably use in the next one.
  void BeginExperts(std::span<const ExpertBlock> blocks);
  void ForecastExperts();
  // How many of the blocks from `first` on may be run together.
  int64_t BlocksHeld(std::span<const ExpertBlock> blocks, int64_t first) const;
  // Blocks until the expert's matrices are in memory; each task that uses them calls it.
  void NeedExpert(int expert);
  void EndExperts(std::span<const ExpertBlock> blocks);
  bool IsDecoding() const;
  void ExpertUp(const ExpertBlock& block, Range columns, float* hidden, int worker);
  void ExpertDown(const ExpertBlock& block, Range columns, const float* hidden, int worker);
  void CallExpertProbes(routing::Site site, const ExpertBlock& block, float* values, int worker);
  // residual += weighted expert outputs in slot order; then the norm of what comes next.
  void Combine(const NormWeights& next_norm);

  // Losses (sweep_head.cpp).
  void RunHead();
  // Columns of the head that a task of Logits takes: a multiple of 64.
  int64_t HeadColumns() const;
  // Whether the next row of the wave is the next token of this row's sequence.
  bool Continues(size_t row) const;

  std::span<const routing::RowInfo> RowInfos(Range rows) const {
    return std::span(wave->rows)
        .subspan(static_cast<size_t>(rows.begin), static_cast<size_t>(rows.size()));
  }
  float* Residual(int64_t row) { return buffers.residual.data() + row * shape.model_dim; }
  float* Normed(int64_t row) { return buffers.normed.data() + row * shape.model_dim; }
  Rows NormedRows(Range rows) {
    return {Normed(rows.begin), static_cast<size_t>(shape.model_dim), rows.size()};
  }
  float* Scratch(int worker) {
    return buffers.worker.data() + static_cast<uint64_t>(worker) * worker_floats;
  }

  const Model& model;
  const KernelTable& kernels;
  ThreadPool& pool;
  const SweepOptions options;
  routing::RouterDescription router;  // of a dense model: one expert, always chosen
  SweepShape shape;
  uint64_t worker_floats;
  SweepBuffers buffers;
  std::optional<RopeTable> rope;
  ProbeSet probes;
  std::vector<NonFinite> non_finite;  // one a worker

  // The wave being run.
  const Wave* wave = nullptr;
  Phase phase = Phase::kPrefill;
  int64_t n_rows = 0;                // of the sequences that have joined
  size_t n_sequences = 0;            // that have joined
  size_t n_attention_tasks = 0;      // of them
  int64_t n_assignments = 0;         // of all layers so far, for the count of operations
  std::vector<int32_t> predictions;  // [wave_rows] with the option
  double flops = 0;
  std::vector<SequencePlace> places;  // one a sequence
  std::vector<AttentionTask> attention_tasks;

  // The layer being run.
  int layer = 0;
  LayerWeights weights;
  bool decodes = false;         // one row of each sequence
  int n_layers_prefetched = 0;  // of mapped weights

  // Where experts are streamed.
  ExpertSchedule* schedule = nullptr;
  std::mutex experts_mutex;  // guards the matrices in weights.experts
  std::vector<ExpertUse> expert_uses;
  LayerWeights next_weights;              // norm and router that the forecast needs
  std::vector<float> forecast_floats;     // [model_dim + n_experts + experts_per_token]
  std::vector<int16_t> forecast_experts;  // [n_rows, experts_per_token]
  NormWeights final_norm;
  ExpertBlocks expert_blocks;
  // Parts of buffers.shared; expert outputs reuse the place of the others.
  float* queries = nullptr;  // [n_rows, query_dim]; attention overwrites them with its result
  float* values = nullptr;   // [n_rows, kv_dim] of sequences without a cache
  float* keys = nullptr;     // of the same, transposed, one sequence after another
  float* outputs = nullptr;  // [n_assignments, model_dim]
};

// A matrix or vector as float32, row after row.
void ToFloat(const KernelTable& kernels, const WeightMatrix& w, std::vector<float>& out);

// The lowest index of a value that is not finite, or -1.
int64_t FindNonFinite(const float* values, int64_t n);

}  // namespace moescope::engine
