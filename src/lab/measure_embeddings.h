// `embeddings`: text through the engine, hidden states against embeddings, sums by unit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/ops/precision.h"
#include "lab/embedding_similarity.h"
#include "lab/text_model.h"
#include "lab/tokenised_text.h"
#include "store/run_description.h"
#include "text/document.h"
#include "text/sequences.h"

namespace moescope::lab {

struct EmbeddingOptions {
  std::vector<text::DataSpec> data;
  text::SequencePolicy policy;  // chunk 0: the model's context
  bool raw = false;             // CR LF was kept; recorded
  int n_threads = 0;            // 0: one a core
  uint64_t memory_bytes = 0;    // 0: half of what is available
  int64_t wave_tokens = 0;      // 0: as planned
  uint64_t seed = 1;            // of the tokens drawn for the nulls
  engine::Precision precision = engine::Precision::kExact;
};

struct EmbeddingMeasurement {
  store::RunDescription description;
  int64_t n_documents = 0, n_rows = 0;  // special rows included
  std::vector<TextUnit> units;          // data set by data set, in the order met
  SimilaritySums sums;                  // by index into units
};

// Keeps the text's token ids in memory, 8 bytes a token, since a null draws from all of a data set;
// hidden states only of a wave. Draws depend on the data set, its text and the seed alone. Throws
// Error(kBadInput) for text without tokens, kCancelled, and as Trace.
EmbeddingMeasurement MeasureEmbeddings(const TextModel& opened, const EmbeddingOptions& options,
                                       const text::ParquetOpener& open_parquet = nullptr);

}  // namespace moescope::lab
