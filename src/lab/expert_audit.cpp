#include "lab/expert_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/progress.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/audit_probe.h"
#include "lab/describe_run.h"

namespace moescope::lab {
namespace {

// Last over first weights of an expert's last choices, counted in steps of 1/4096: the median of a
// layer is then known to that, and how many lie below it.
class WeightRatios {
 public:
  static constexpr int kSteps = 4096;
  void Add(double ratio) {
    ++counts_[static_cast<size_t>(std::clamp(static_cast<int>(ratio * kSteps), 0, kSteps - 1))];
  }
  int64_t Below(int step) const {
    int64_t n = 0;
    for (int i = 0; i < step; ++i) n += counts_[static_cast<size_t>(i)];
    return n;
  }
  void Add(const WeightRatios& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  }
  // The step that the middle value lies in.
  int MedianStep() const {
    const int64_t all = Below(kSteps);
    int64_t seen = 0;
    for (int i = 0; i < kSteps; ++i) {
      seen += counts_[static_cast<size_t>(i)];
      if (2 * seen >= all) return i;
    }
    return 0;
  }

 private:
  std::array<int64_t, kSteps> counts_ = {};
};

class Auditor {
 public:
  Auditor(const TextModel& opened, const AuditOptions& options,
          const text::ParquetOpener& open_parquet)
      : options_(options),
        pool_(options.n_threads),
        kernels_(engine::SelectKernels()),
        opened_(opened),
        model_(*opened.model),
        config_(model_.config()) {
    if (config_.dense()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot audit {}: expected a mixture of experts, found a dense model",
                              model_.checkpoint().path()));
    }
    policy_ = options.policy;
    policy_.chunk = ChunkOf(options.policy, config_);
    text_ = ReadTokenisedText(opened, options.data, policy_, open_parquet);
    if (text_.ids.empty()) {
      throw Error(ErrorKind::kBadInput,
                  "cannot audit experts: expected text, found no token; raise --max-tokens");
    }
    audit_.n_layers = config_.n_layers;
    audit_.n_experts = config_.n_experts;
    audit_.experts.resize(static_cast<size_t>(config_.n_layers * config_.n_experts));
    audit_.layers.resize(static_cast<size_t>(config_.n_layers));
    ratios_.resize(audit_.experts.size());
  }

  Audit Run() {
    const auto start = std::chrono::steady_clock::now();
    const int64_t wave_rows = WaveRows();
    AuditProbe probe(config_, model_.router(), wave_rows);
    routing::Probe* probes[] = {&probe};
    engine::Sweep sweep(model_, kernels_, pool_,
                        {.wave_rows = wave_rows,
                         .max_sequence = static_cast<int>(text_.longest()),
                         .losses = false,
                         .experts_per_token = AuditProbe::Slots(config_),
                         .precision = options_.precision});
    ProgressBar progress("audit", text_.ids.size(), "tokens");
    for (size_t next = 0; next < text_.sequences.size();) {
      ThrowIfCancelled();
      const size_t first = next;
      next = FillWave(first, wave_rows);
      sweep.Run(wave_, probes);
      for (size_t s = first; s < next; ++s) {
        TakeSequence(probe, text_.sequences[s], wave_.sequence_begin[s - first]);
      }
      progress.Update(text_.sequences[next - 1].end);
    }
    FindSkipped();
    audit_.description = DescribeRun(
        model_, *opened_.tokenizer, kernels_,
        {options_.data, options_.policy, policy_.chunk, options_.raw, options_.precision});
    audit_.n_documents = text_.n_documents;
    audit_.n_units = static_cast<int64_t>(text_.units.size());
    audit_.n_rows = static_cast<int64_t>(text_.ids.size());
    audit_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(audit_);
  }

 private:
  int64_t WaveRows() const {
    const uint64_t memory = model_.memory_left().value_or(
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2);
    const uint64_t kept =
        text_.ids.size() * sizeof(int32_t) + ratios_.size() * sizeof(WeightRatios);
    if (memory <= kept) {
      throw Error(ErrorKind::kResource,
                  fmt::format("not enough memory: token ids and counts need {}, available {}; give "
                              "more with --memory, or less text with --max-tokens",
                              FormatBytes(kept), FormatBytes(memory)));
    }
    files::ModelConfig config = config_;
    config.experts_per_token = AuditProbe::Slots(config_);
    const auto longest = static_cast<int>(text_.longest());
    const uint64_t per_row = sizeof(routing::RowInfo) + AuditProbe::BytesPerRow(config_);
    int64_t rows = engine::PlanSweep(config, memory - kept, longest, pool_.n_threads(), per_row,
                                     options_.precision)
                       .wave_rows;
    if (options_.wave_tokens > 0) {
      rows = std::min(rows, std::max<int64_t>(options_.wave_tokens, longest));
    }
    return std::min(rows, static_cast<int64_t>(text_.ids.size()));
  }

  // The sequences from `first` on that fit; returns the first that does not.
  size_t FillWave(size_t first, int64_t wave_rows) {
    wave_.clear();
    size_t next = first;
    for (; next < text_.sequences.size(); ++next) {
      const TextSequence& sequence = text_.sequences[next];
      if (wave_.n_rows() + static_cast<int64_t>(sequence.size()) > wave_rows) break;
      wave_.Add(static_cast<int64_t>(next), 0, text_.Ids(sequence));
    }
    return next;
  }

  void TakeSequence(const AuditProbe& probe, const TextSequence& sequence, int64_t first_row) {
    audit_.n_plain += static_cast<int64_t>(sequence.size()) - (sequence.has_bos ? 1 : 0);
    for (int layer = 0; layer < config_.n_layers; ++layer) {
      std::vector<double> changes(static_cast<size_t>(config_.n_experts));  // squares
      double outputs = 0;
      for (size_t i = 0; i < sequence.size(); ++i) {
        const AuditPlace place = {static_cast<int64_t>(sequence.begin + i),
                                  text_.ids[sequence.begin + i], static_cast<int32_t>(i)};
        const int64_t row = first_row + static_cast<int64_t>(i);
        const RowAudit& of_row = probe.Row(layer, row);
        TakePeaks(probe.Slots(layer, row), of_row, layer, place);
        if (i == 0 && sequence.has_bos) continue;
        outputs += double{of_row.output_norm} * of_row.output_norm;
        TakeSlots(probe.Slots(layer, row), layer, changes);
      }
      audit_.layers[static_cast<size_t>(layer)].output_norm += std::sqrt(outputs);
      for (int expert = 0; expert < config_.n_experts; ++expert) {
        Cell(layer, expert).reconstruction += std::sqrt(changes[static_cast<size_t>(expert)]);
      }
    }
  }

  void TakePeaks(std::span<const SlotAudit> slots, const RowAudit& of_row, int layer,
                 const AuditPlace& place) {
    for (const SlotAudit& slot : slots) {
      if (slot.expert < 0) continue;
      ExpertAudit& expert = Cell(layer, slot.expert);
      if (slot.peak <= expert.output_peak) continue;
      expert.output_peak = slot.peak;
      expert.peak_place = place;
    }
    LayerAudit& of_layer = audit_.layers[static_cast<size_t>(layer)];
    if (of_row.residual_peak <= of_layer.residual_peak) return;
    of_layer.residual_peak = of_row.residual_peak;
    of_layer.peak_median = of_row.residual_median;
    of_layer.peak_dim = of_row.residual_dim;
    of_layer.peak_place = place;
  }

  void TakeSlots(std::span<const SlotAudit> slots, int layer, std::vector<double>& changes) {
    for (const SlotAudit& slot : slots) {
      if (slot.expert < 0) continue;
      ExpertAudit& expert = Cell(layer, slot.expert);
      ++expert.n_assignments;
      expert.weight_sum += slot.weight;
      expert.weighted_norm_sum += double{slot.weight} * slot.norm;
      changes[static_cast<size_t>(slot.expert)] += double{slot.change} * slot.change;
    }
    const SlotAudit& last = slots.back();
    if (slots.size() < 2 || last.expert < 0 || slots.front().weight <= 0) return;
    ++Cell(layer, last.expert).n_last_choices;
    ratios_[At(layer, last.expert)].Add(double{last.weight} / slots.front().weight);
  }

  void FindSkipped() {
    if (config_.experts_per_token < 2) return;
    for (int layer = 0; layer < config_.n_layers; ++layer) {
      WeightRatios all;
      for (int expert = 0; expert < config_.n_experts; ++expert) {
        all.Add(ratios_[At(layer, expert)]);
      }
      const int step = all.MedianStep();
      audit_.layers[static_cast<size_t>(layer)].skip_beta = (step + 0.5) / WeightRatios::kSteps;
      for (int expert = 0; expert < config_.n_experts; ++expert) {
        Cell(layer, expert).n_skipped = ratios_[At(layer, expert)].Below(step);
      }
    }
  }

  size_t At(int layer, int expert) const {
    return static_cast<size_t>(layer * config_.n_experts + expert);
  }
  ExpertAudit& Cell(int layer, int expert) { return audit_.experts[At(layer, expert)]; }

  const AuditOptions& options_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  const TextModel& opened_;
  engine::Model& model_;
  const files::ModelConfig& config_;
  text::SequencePolicy policy_;
  TokenisedText text_;
  engine::Wave wave_;
  Audit audit_;
  std::vector<WeightRatios> ratios_;  // [n_layers, n_experts]
};

}  // namespace

Audit AuditExperts(const TextModel& opened, const AuditOptions& options,
                   const text::ParquetOpener& open_parquet) {
  return Auditor(opened, options, open_parquet).Run();
}

}  // namespace moescope::lab
