#include "lab/ablate.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/ablation_state.h"
#include "lab/describe_run.h"
#include "lab/intervention_probe.h"
#include "lab/progress_probe.h"

namespace moescope::lab {
namespace {

using routing::InterventionPlan;
using Clock = std::chrono::steady_clock;

// Of all that a loss depends on in a text, and of what its units are called.
uint64_t HashText(const TokenisedText& text) {
  std::string bytes(AsText(std::as_bytes(std::span(text.ids))));
  const auto put = [&](uint64_t value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  for (const TextSequence& sequence : text.sequences) {
    put(sequence.begin);
    put(sequence.end);
    put(static_cast<uint64_t>(sequence.unit));
  }
  for (const TextUnit& unit : text.units) {
    for (const std::string* name : {&unit.dataset, &unit.name}) {
      put(name->size());
      bytes += *name;
    }
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

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
    policy_.chunk = ChunkOf(options.policy, model_.config());
    text_ = ReadTokenisedText(opened, options.data, policy_, open_parquet);
    const bool has_pair = std::any_of(text_.sequences.begin(), text_.sequences.end(),
                                      [](const TextSequence& s) { return s.size() > 1; });
    if (!has_pair) {
      throw Error(ErrorKind::kBadInput,
                  "cannot measure a loss: expected text, found no token after another; raise "
                  "--max-tokens");
    }
    result_.description = DescribeRun(
        model_, *opened_.tokenizer, kernels_,
        {options_.data, options_.policy, policy_.chunk, options_.raw, options_.precision});
    TakeState(branches, routed);
    OrderBranches();
    PlanWaves();
    CutGroups();
  }

  Ablation Run() {
    const auto n_columns = plans_.size();
    if (!groups_.empty()) RunGroups();
    result_.n_branches = static_cast<int>(n_columns) - 1;
    result_.predictions = std::move(state_.predictions);
    result_.losses = std::move(state_.losses);
    result_.flops = state_.flops;
    result_.n_waves = state_.n_waves;
    result_.seconds = state_.seconds;
    result_.weight_bytes = state_.weight_bytes;
    result_.model_bytes = result_.weight_bytes / static_cast<uint64_t>(result_.n_waves);
    result_.flops_one_by_one = FlopsOneByOne() * static_cast<double>(n_columns);
    result_.n_documents = text_.n_documents;
    result_.n_rows = static_cast<int64_t>(text_.ids.size());
    result_.units = std::move(text_.units);
    return std::move(result_);
  }

 private:
  void RunGroups() {
    engine::Sweep sweep(model_, kernels_, pool_,
                        {.wave_rows = result_.wave_rows,
                         .max_sequence = static_cast<int>(text_.longest()),
                         .experts_per_token = SlotsOf(plans_),
                         .precision = options_.precision});
    ProgressProbe progress("ablate", RowLayers());
    InterventionProbe interventions(plans_);
    routing::Probe* probes[] = {&interventions, &progress};
    try {
      for (const std::span<const size_t> group : groups_) RunGroup(group, sweep, probes);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCancelled || options_.state.empty()) throw;
      throw Error(ErrorKind::kCancelled, StoppedText());
    }
  }

  void RunGroup(std::span<const size_t> group, engine::Sweep& sweep,
                std::span<routing::Probe* const> probes) {
    for (size_t next = FirstToDo(group); next < text_.sequences.size();) {
      ThrowIfCancelled();
      const uint64_t acquired_before = model_.weights().bytes_acquired();
      const Clock::time_point start = Clock::now();
      next = FillWave(group, next);
      sweep.Run(wave_, probes);
      TakeLosses(sweep.losses());
      state_.flops += sweep.flops();
      ++state_.n_waves;
      state_.seconds += std::chrono::duration<double>(Clock::now() - start).count();
      state_.weight_bytes += model_.weights().bytes_acquired() - acquired_before;
      state_.sequences_done[0] = std::max(state_.sequences_done[0], static_cast<int64_t>(next));
      for (size_t branch : group) state_.sequences_done[branch] = static_cast<int64_t>(next);
      if (!options_.state.empty()) WriteAblationState(options_.state, state_);
      if (options_.after_wave) options_.after_wave();
    }
  }

  std::string StoppedText() const {
    int64_t done = 0;
    for (int64_t of_column : state_.sequences_done) done += of_column;
    const auto all = static_cast<int64_t>(state_.n_columns() * text_.sequences.size());
    return fmt::format("stopped with {} % measured; the same command goes on from there: {}",
                       100 * done / all, options_.state);
  }

  // Begins anew, or where the file of the state says. What cannot be written is found before the
  // first wave.
  void TakeState(std::span<const routing::Intervention> branches,
                 const routing::RoutedModel& routed) {
    const store::RunDescription& run = result_.description;
    state_.identity = {
        {"model", run.model_identity},
        {"tokenizer", run.tokenizer_identity},
        {"version", run.engine_version},
        {"precision", run.precision},
        {"level", run.kernel_level},
        {"text", fmt::format("{} tokens, {:016x}", text_.ids.size(), HashText(text_))},
        {"branches", fmt::format("{}", branches.size())}};
    for (size_t i = 0; i < branches.size(); ++i) {
      state_.identity.emplace_back(fmt::format("branch {}", i + 1),
                                   routing::FormatIntervention(branches[i], routed));
    }
    state_.n_sequences = static_cast<int64_t>(text_.sequences.size());
    state_.sequences_done.resize(plans_.size());
    state_.predictions.resize(text_.units.size());
    state_.losses.resize(text_.units.size() * plans_.size());
    if (options_.state.empty()) return;
    if (!std::filesystem::exists(options_.state)) {
      WriteAblationState(options_.state, state_);
      return;
    }
    AblationState found = ReadAblationState(options_.state);
    RequireSameAblation(found, state_, options_.state);
    state_ = std::move(found);
  }

  // Branches that fork late share more with the baseline, so those of a wave should be alike; a
  // wave wants them in this order too. One that changes nothing forks at the last layer. Those that
  // an earlier run left half done come first, those that it finished not at all.
  void OrderBranches() {
    for (size_t branch = 1; branch < plans_.size(); ++branch) {
      if (state_.sequences_done[branch] < state_.n_sequences) order_.push_back(branch);
    }
    const int last = model_.config().n_layers - 1;
    for (const InterventionPlan& plan : plans_) {
      fork_layer_.push_back(std::min(plan.first_layer(), last));
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return fork_layer_[a] < fork_layer_[b]; });
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      return state_.sequences_done[a] > state_.sequences_done[b];
    });
  }

  // How many rows a wave has, and how many branches go with a sequence.
  void PlanWaves() {
    const uint64_t memory = model_.memory_left().value_or(
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2);
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

  // Branches that go through the engine together, from the same sequence on; one group without any
  // where only the baseline is left to run.
  void CutGroups() {
    for (size_t first = 0; first < order_.size();) {
      size_t end = first;
      while (end < order_.size() && end - first < group_size_ &&
             state_.sequences_done[order_[end]] == state_.sequences_done[order_[first]]) {
        ++end;
      }
      groups_.push_back(std::span(order_).subspan(first, end - first));
      first = end;
    }
    if (groups_.empty() && state_.sequences_done[0] < state_.n_sequences) groups_.emplace_back();
  }
  size_t FirstToDo(std::span<const size_t> group) const {
    return static_cast<size_t>(state_.sequences_done[group.empty() ? 0 : group.front()]);
  }

  // Sequences from `next` on with the branches of the group, as many as fit; returns the first that
  // does not.
  size_t FillWave(std::span<const size_t> group, size_t next) {
    wave_.clear();
    columns_.clear();
    wave_first_ = next;
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

  // The baseline runs with each group, the same bits every time, and counts once.
  void TakeLosses(std::span<const float> losses) {
    for (size_t s = 0; s < columns_.size(); ++s) {
      const auto [sequence, branch] = columns_[s];
      if (static_cast<int64_t>(sequence) < state_.sequences_done[branch]) continue;
      const auto unit = static_cast<size_t>(text_.sequences[sequence].unit);
      double& sum = state_.losses[unit * state_.n_columns() + branch];
      for (int64_t row = wave_.sequence_begin[s]; row < wave_.sequence_begin[s + 1]; ++row) {
        const float loss = losses[static_cast<size_t>(row)];
        if (std::isnan(loss)) continue;
        sum += loss;
        if (branch == 0) ++state_.predictions[unit];
      }
    }
  }

  // Rows that are routed in all layers of all waves to come.
  uint64_t RowLayers() const {
    const auto n_layers = static_cast<uint64_t>(model_.config().n_layers);
    uint64_t row_layers = 0;
    for (const std::span<const size_t> group : groups_) {
      uint64_t of_row = n_layers;
      for (size_t branch : group) {
        of_row += n_layers - (options_.fork ? static_cast<uint64_t>(fork_layer_[branch]) : 0);
      }
      const size_t begin = FirstToDo(group) == 0 ? 0 : text_.sequences[FirstToDo(group) - 1].end;
      row_layers += of_row * (text_.ids.size() - begin);
    }
    return row_layers;
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
  std::vector<InterventionPlan> plans_;  // by branch
  std::vector<int> fork_layer_;          // by branch
  AblationState state_;
  std::vector<size_t> order_;                    // branches to run
  size_t group_size_ = 1;                        // of a wave at most
  std::vector<std::span<const size_t>> groups_;  // of order_

  // The wave being run.
  engine::Wave wave_;
  std::vector<Column> columns_;  // of each of its sequences
  size_t wave_first_ = 0;
  Ablation result_;
};

}  // namespace

Ablation Ablate(const TextModel& opened, std::span<const routing::Intervention> branches,
                const AblationOptions& options, const text::ParquetOpener& open_parquet) {
  return Ablater(opened, branches, options, open_parquet).Run();
}

}  // namespace moescope::lab
