// `trace`: text through the engine into a run directory. Documents become sequences, sequences fill
// waves, a probe collects every routing decision, each wave is committed before the next is begun.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/model/profile.h"
#include "engine/ops/precision.h"
#include "lab/model_changes.h"
#include "text/document.h"
#include "text/sequences.h"

namespace moescope::lab {

struct TraceOptions {
  std::string model;
  std::vector<text::DataSpec> data;
  text::SequencePolicy policy;  // chunk 0: the model's context
  std::string output;           // the run directory; empty: run the sweep and write nothing
  bool raw = false;             // CR LF was kept; recorded
  bool logits = false;          // store all router logits
  ModelChanges changes;         // of routing and residuals; recorded
  int n_threads = 0;            // 0: one a core
  uint64_t memory_bytes = 0;    // 0: half of what is available
  int64_t wave_tokens = 0;      // 0: as planned; smaller waves lose less to a kill
  int64_t tokens_per_part = int64_t{1} << 20;
  bool read_weights = false;  // read into memory rather than mapped
  engine::Precision precision = engine::Precision::kExact;
  engine::Profile* profile = nullptr;  // of n_threads threads; what the sweep's tasks took
};

struct DatasetSummary {
  std::string dataset;
  int64_t n_documents = 0;
  int64_t n_tokens = 0;       // rows, BOS included
  int64_t n_predictions = 0;  // rows with a loss
  double loss_sum = 0;        // nats
};

struct TraceSummary {
  bool was_complete = false;  // the run was there already: nothing was done
  int64_t n_tokens = 0;       // of this call; a resumed run had some before
  int64_t n_tokens_before = 0;
  int64_t n_waves = 0;
  int64_t wave_rows = 0;           // capacity of a wave
  double seconds = 0;              // of the sweep and the writing, loading excluded
  double cpu_seconds = 0;          // the same span in processor time, all threads
  double sweep_seconds = 0;        // inside the forward pass
  double flops = 0;                // that the sweep ran, multiply-adds counted as two
  uint64_t weight_bytes = 0;       // bytes of weights acquired
  bool streamed = false;           // experts were: the weights did not fit the memory
  uint64_t expert_bytes_read = 0;  // from disk, then
  double expert_hit_ratio = 0;     // of experts used by a wave, those that were in memory
  bool is_dense = false;           // no experts: the run has no routes
  std::string kernel_level;
  std::vector<DatasetSummary> datasets;  // of this call, in the order met
};

// Runs to the end of the data, or until cancelled: then throws Error(kCancelled) and leaves a run
// that the same call resumes. Throws Error as Model::Open, OpenDocuments, RunWriter and Sweep::Run.
// One caller at a time; uses n_threads threads and one for the writer.
TraceSummary Trace(const TraceOptions& options, const text::ParquetOpener& open_parquet = nullptr);

}  // namespace moescope::lab
