// `ablate`: what the loss becomes when the routing of a model is changed. The baseline and its
// branches go through the engine together; a branch forks at the layer of its change, so what comes
// before is computed once and each weight is read once for all of them. docs/interventions.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/ops/precision.h"
#include "lab/text_model.h"
#include "lab/tokenised_text.h"
#include "routing/intervention_plan.h"
#include "store/run_description.h"

namespace moescope::lab {

struct AblationOptions {
  std::vector<text::DataSpec> data;
  text::SequencePolicy policy;  // chunk 0: the model's context
  bool raw = false;             // CR LF was kept; recorded
  int n_threads = 0;            // 0: one a core
  uint64_t memory_bytes = 0;    // 0: half of what is available
  int64_t wave_tokens = 0;      // rows of a wave at most, those of branches counted; 0: as planned
  bool fork = true;             // false: branches run from the embedding on, for comparison
  // Of `force`; must be of this model and text.
  const routing::DecisionSource* forced = nullptr;
  engine::Precision precision = engine::Precision::kExact;
  // Kept up to date after every wave, gone on from where it exists (ablation_state.h); "": none.
  std::string state = {};
  std::function<void()> after_wave = {};  // called when the state is kept; empty: nothing is
};

struct Ablation {
  store::RunDescription description;  // of the baseline: no interventions
  int64_t n_documents = 0, n_rows = 0;
  std::vector<TextUnit> units;
  std::vector<int64_t> predictions;  // of each unit: rows with a loss
  int n_branches = 0;                // the baseline not counted
  std::vector<double> losses;        // [n_units, 1 + n_branches] sums in nats; the baseline first

  // What it took, before it was stopped too, and what a run for each branch and one for the
  // baseline would have taken.
  double flops = 0, flops_one_by_one = 0;
  int64_t n_waves = 0, wave_rows = 0;
  uint64_t weight_bytes = 0, model_bytes = 0;  // acquired in all; of one pass
  double seconds = 0;

  double Loss(size_t unit, size_t column) const {
    return losses[unit * (1 + static_cast<size_t>(n_branches)) + column];
  }
};

// Branch i + 1 runs under `branches[i]`. The sums are the same, bit for bit, whatever the threads,
// waves and other branches, with branches run one by one, and however often it was stopped. Throws
// Error(kBadInput) for a dense model, text without a token to predict, and as InterventionPlan;
// kResource when memory does not hold a sequence and a branch of it; kCancelled, with a
// state saying how to go on; as Sweep::Run; and with a state as ReadAblationState,
// WriteAblationState and RequireSameAblation.
Ablation Ablate(const TextModel& opened, std::span<const routing::Intervention> branches,
                const AblationOptions& options, const text::ParquetOpener& open_parquet = nullptr);

}  // namespace moescope::lab
