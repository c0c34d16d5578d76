#include "lab/ablate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/describe_run.h"
#include "lab/intervention_probe.h"
#include "lab/progress_probe.h"

namespace moescope::lab {
namespace {

using routing::InterventionPlan;
using Clock = std::chrono::steady_clock;

class Ablater {
 public:
  Ablater(const TextModel& opened, std::span<const routing::Intervention> branches,
          const AblationOptions& options, const text::ParquetOpener& open_parquet)
      : options_(options),
        pool_(options.n_threads),
        kernels_(engine::SelectKernels()),
        opened_(opened),
        model_(*opened.model) {
    const routing::RoutedModel routed = RoutedModelOf(model_);
    plans_.emplace_back(std::span<const routing::Intervention>(), routed);
    for (const routing::Intervention& branch : branches) {
      plans_.emplace_back(std::span(&branch, 1), routed, options.forced);
    }
    policy_ = options.policy;
    policy_.chunk = ChunkOf(options.policy, model_);
    text_ = ReadTokenisedText(opened, options.data, policy_, open_parquet);
    const bool has_pair = std::any_of(text_.sequences.begin(), text_.sequences.end(),
                                      [](const TextSequence& s) { return s.size() > 1; });
    if (!has_pair) {
      throw Error(ErrorKind::kBadInput,
                  "cannot measure a loss: expected text, found no token after another; raise "
                  "--max-tokens");
    }
    OrderBranches();
    PlanWaves();
  }

  Ablation Run() {
    const auto n_columns = plans_.size();
    result_.n_branches = static_cast<int>(n_columns) - 1;
    result_.predictions.resize(text_.units.size());
    result_.losses.resize(text_.units.size() * n_columns);
    const int n_slots = SlotsOf(plans_);
    engine::Sweep sweep(model_, kernels_, pool_,
                        {.wave_rows = result_.wave_rows,
                         .max_sequence = static_cast<int>(text_.longest()),
                         .experts_per_token = n_slots,
                         .precision = options_.precision});
    ProgressProbe progress("ablate", RowLayers());
    InterventionProbe interventions(std::move(plans_));
    routing::Probe* probes[] = {&interventions, &progress};
    const uint64_t acquired_before = model_.weights().bytes_acquired();
    const Clock::time_point start = Clock::now();
    for (size_t group = 0; group < n_groups(); ++group) {
      for (size_t next = 0; next < text_.sequences.size();) {
        ThrowIfCancelled();
        next = FillWave(group, next);
        sweep.Run(wave_, probes);
        result_.flops += sweep.flops();
        ++result_.n_waves;
        TakeLosses(sweep.losses());
      }
    }
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    result_.weight_bytes = model_.weights().bytes_acquired() - acquired_before;
    result_.model_bytes = result_.weight_bytes / static_cast<uint64_t>(result_.n_waves);
    result_.flops_one_by_one = FlopsOneByOne() * static_cast<double>(n_columns);
    result_.description = DescribeRun(
        model_, *opened_.tokenizer, kernels_,
        {options_.data, options_.policy, policy_.chunk, options_.raw, options_.precision});
    result_.n_documents = text_.n_documents;
    result_.n_rows = static_cast<int64_t>(text_.ids.size());
    result_.units = std::move(text_.units);
    return std::move(result_);
  }

 private:
  // Branches that fork late share more with the baseline, so those of a wave should be alike; a
  // wave wants them in this order too. One that changes nothing forks at the last layer.
  void OrderBranches() {
    order_.resize(plans_.size() - 1);
    std::iota(order_.begin(), order_.end(), size_t{1});
    const int last = model_.config().n_layers - 1;
    for (const InterventionPlan& plan : plans_) {
      fork_layer_.push_back(std::min(plan.first_layer(), last));
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return fork_layer_[a] < fork_layer_[b]; });
  }

  // How many rows a wave has, and how many branches go with a sequence.
  void PlanWaves() {
    const uint64_t memory =
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2;
    files::ModelConfig config = model_.config();
    config.experts_per_token = SlotsOf(plans_);
    const auto longest = static_cast<int>(text_.longest());
    const uint64_t kept =
        text_.ids.size() * sizeof(int32_t) + text_.units.size() * plans_.size() * sizeof(double);
    if (memory <= kept) RefuseMemory(kept, memory);
    const engine::SweepPlan plan =
        engine::PlanSweep(config, memory - kept, longest, pool_.n_threads(),
                          sizeof(routing::RowInfo), options_.precision);
    result_.wave_rows = WaveRows(plan, memory - kept);
    group_size_ =
        std::clamp<size_t>(order_.size(), 1, static_cast<size_t>(result_.wave_rows / longest - 1));
  }

  int64_t WaveRows(const engine::SweepPlan& plan, uint64_t memory) const {
    const auto longest = static_cast<int64_t>(text_.longest());
    const uint64_t for_rows = memory > plan.fixed_bytes ? memory - plan.fixed_bytes : 0;
    const auto fits = static_cast<int64_t>(for_rows / plan.bytes_per_row);
    const auto all = static_cast<int64_t>(text_.ids.size() * plans_.size());
    int64_t rows = std::min(fits, all);
    if (options_.wave_tokens > 0) rows = std::min(rows, options_.wave_tokens);
    const int64_t least = 2 * longest;
    if (fits < least) {
      RefuseMemory(plan.fixed_bytes + static_cast<uint64_t>(least) * plan.bytes_per_row, memory);
    }
    return std::max(rows, least);
  }

  [[noreturn]] static void RefuseMemory(uint64_t needed, uint64_t available) {
    throw Error(ErrorKind::kResource,
                fmt::format("not enough memory: a sequence and one branch of it need {}, available "
                            "{}; give more with --memory, or cut with --chunk",
                            FormatBytes(needed), FormatBytes(available)));
  }

  // Branches that go through the engine together; one group when there are none.
  size_t n_groups() const {
    return std::max<size_t>(1, (order_.size() + group_size_ - 1) / group_size_);
  }
  std::span<const size_t> Group(size_t i) const {
    const size_t first = i * group_size_;
    return std::span(order_).subspan(first, std::min(group_size_, order_.size() - first));
  }

  // Sequences from `next` on with the branches of the group, as many as fit; returns the first that
  // does not.
  size_t FillWave(size_t i, size_t next) {
    const std::span<const size_t> group = Group(i);
    wave_.clear();
    columns_.clear();
    wave_first_ = next;
    takes_baseline_ = i == 0;
    int64_t n_rows = 0;
    size_t end = next;
    for (; end < text_.sequences.size(); ++end) {
      n_rows += static_cast<int64_t>(text_.sequences[end].size() * (1 + group.size()));
      if (n_rows > result_.wave_rows) break;
      Add(end, 0);
    }
    for (size_t branch : group) {
      for (size_t sequence = next; sequence < end; ++sequence) Add(sequence, branch);
    }
    return end;
  }

  void Add(size_t sequence, size_t branch) {
    const auto id = static_cast<int32_t>(branch);
    if (branch > 0 && options_.fork) {
      wave_.AddFork(static_cast<int64_t>(sequence - wave_first_), id, fork_layer_[branch]);
    } else {
      wave_.Add(static_cast<int64_t>(sequence), id, text_.Ids(text_.sequences[sequence]));
    }
    columns_.push_back({sequence, branch});
  }

  void TakeLosses(std::span<const float> losses) {
    for (size_t s = 0; s < columns_.size(); ++s) {
      const auto [sequence, branch] = columns_[s];
      if (branch == 0 && !takes_baseline_) continue;
      const auto unit = static_cast<size_t>(text_.sequences[sequence].unit);
      double& sum = result_.losses[unit * fork_layer_.size() + branch];
      for (int64_t row = wave_.sequence_begin[s]; row < wave_.sequence_begin[s + 1]; ++row) {
        const float loss = losses[static_cast<size_t>(row)];
        if (std::isnan(loss)) continue;
        sum += loss;
        if (branch == 0) ++result_.predictions[unit];
      }
    }
  }

  // Rows that are routed in all layers of all waves.
  uint64_t RowLayers() const {
    const auto n_layers = static_cast<uint64_t>(model_.config().n_layers);
    uint64_t of_row = n_groups() * n_layers;
    for (size_t branch : order_) {
      of_row += n_layers - (options_.fork ? static_cast<uint64_t>(fork_layer_[branch]) : 0);
    }
    return of_row * text_.ids.size();
  }

  double FlopsOneByOne() const {
    double flops = 0;
    for (const TextSequence& sequence : text_.sequences) {
      flops += static_cast<double>(sequence.size()) *
               engine::FlopsPerRow(model_.config(), static_cast<int>(sequence.size()));
    }
    return flops;
  }

  struct Column {
    size_t sequence, branch;
  };

  const AblationOptions& options_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  const TextModel& opened_;
  engine::Model& model_;
  text::SequencePolicy policy_;
  TokenisedText text_;
  std::vector<InterventionPlan> plans_;  // by branch; given to the probe when it runs
  std::vector<int> fork_layer_;          // by branch
  std::vector<size_t> order_;            // branches by the layer of their fork
  size_t group_size_ = 1;                // branches of a wave

  // The wave being run.
  engine::Wave wave_;
  std::vector<Column> columns_;  // of each of its sequences
  size_t wave_first_ = 0;
  bool takes_baseline_ = true;  // it runs once for each group; the same bits every time
  Ablation result_;
};

}  // namespace

Ablation Ablate(const TextModel& opened, std::span<const routing::Intervention> branches,
                const AblationOptions& options, const text::ParquetOpener& open_parquet) {
  return Ablater(opened, branches, options, open_parquet).Run();
}

}  // namespace moescope::lab
