// `capture`: activations of chosen rows of a run, for other programs: the run's text goes through
// the model again, and what passes at the sites asked for is written down. docs/capture.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops/precision.h"
#include "lab/text_model.h"
#include "store/run.h"

namespace moescope::lab {

enum class CaptureSite { kResidualAfterAttention, kResidualAfterMoe, kExpertInput, kExpertOutput };
inline constexpr int kNCaptureSites = 4;
std::string_view Name(CaptureSite site);  // "residual_after_moe", ...
// Throws Error(kBadInput) for another name.
CaptureSite ParseCaptureSite(std::string_view name);

struct CaptureOptions {
  std::vector<CaptureSite> sites;  // none twice
  std::vector<int> layers;         // increasing
  std::string rows_sql;            // a SELECT over the run with a column `token`
  std::string output;              // a folder that is not there yet, or empty
  bool parquet = false;            // values in the Parquet file instead of an .npy
  int n_threads = 0;               // 0: one a core
  uint64_t memory_bytes = 0;       // 0: half of what is available
  int64_t wave_tokens = 0;         // rows of a wave at most; 0: as planned
  engine::Precision precision = engine::Precision::kExact;
};

struct CapturedFile {
  CaptureSite site;
  int64_t n_rows = 0;
  int dim = 0;
};
struct CaptureSummary {
  int64_t n_tokens = 0;     // chosen
  int64_t n_sequences = 0;  // that have one
  int64_t n_waves = 0;
  std::vector<CapturedFile> files;
};

// Writes for each site SITE.npy, float32 [rows, model_dim], and SITE.parquet, whose row i says what
// row i of the array is: token, layer, slot, expert, weight (null where a site has no experts),
// token_id, sequence, position; sorted by token, layer, slot. Interventions of the run hold here
// too. The same bytes for any threads and waves. What was written is taken away when it fails.
// Throws Error(kBadInput) for a run of another model, SQL without `token`, tokens that are not in
// the run; kIo, kResource, kCancelled, and as Sweep::Run.
CaptureSummary Capture(const TextModel& opened, const store::Run& run,
                       const CaptureOptions& options);

}  // namespace moescope::lab
