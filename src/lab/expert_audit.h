// What published criteria say of each expert, from one pass over calibration text: how often it is
// used and with what weight, how large its outputs are, what the layer loses without it, and where
// the residual stream carries massive activations. Definitions and sources: docs/audit.md.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/ops/precision.h"
#include "lab/text_model.h"
#include "lab/tokenised_text.h"
#include "store/run_description.h"

namespace moescope::lab {

struct AuditOptions {
  std::vector<text::DataSpec> data;
  text::SequencePolicy policy;  // chunk 0: the model's context
  bool raw = false;             // CR LF was kept; recorded
  int n_threads = 0;            // 0: one a core
  uint64_t memory_bytes = 0;    // 0: half of what is available
  int64_t wave_tokens = 0;      // rows of a wave at most; 0: as planned
  engine::Precision precision = engine::Precision::kExact;
};

// Where a largest value was met.
struct AuditPlace {
  int64_t row = -1;  // of the text; -1: nowhere
  int32_t token_id = -1;
  int32_t position = -1;  // in its sequence
};

// Of one (layer, expert), over plain rows; peaks over all, BOS included, since that is where super
// experts act.
struct ExpertAudit {
  int64_t n_assignments = 0;
  double weight_sum = 0;
  double weighted_norm_sum = 0;               // of weight * ||output||_2
  int64_t n_last_choices = 0, n_skipped = 0;  // as last choice; there below beta times the first
  double reconstruction = 0;  // sum over sequences of ||F'(X) - F(X)||_F, the expert masked
  float output_peak = 0;      // max |output of down_proj|
  AuditPlace peak_place;
};

struct LayerAudit {
  double skip_beta = 0;     // median of last over first weight, to 1/4096; 0 where K is 1
  double output_norm = 0;   // sum over sequences of ||F(X)||_F
  float residual_peak = 0;  // max |h| after the layer, over all rows
  float peak_median = 0;    // median |h| of that row
  int peak_dim = -1;
  AuditPlace peak_place;
};

struct Audit {
  store::RunDescription description;
  int n_layers = 0, n_experts = 0;
  int64_t n_documents = 0, n_rows = 0, n_plain = 0, n_units = 0;
  std::vector<ExpertAudit> experts;  // [n_layers, n_experts]
  std::vector<LayerAudit> layers;
  double seconds = 0;

  const ExpertAudit& Of(int layer, int expert) const {
    return experts[static_cast<size_t>(layer * n_experts + expert)];
  }
};

// One sweep; each row also runs the expert that would step in, with weight 0, so the arithmetic of
// experts is (K + 1) / K of a plain sweep's, and hidden states are those of the model, bit for bit.
// The same for any threads and waves. Throws Error(kBadInput) for a dense model or no text,
// kResource, kCancelled, and as Sweep::Run.
Audit AuditExperts(const TextModel& opened, const AuditOptions& options,
                   const text::ParquetOpener& open_parquet = nullptr);

}  // namespace moescope::lab
