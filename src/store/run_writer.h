// Writes a run directory: a checksummed journal a wave, Parquet parts cut from it, the manifest.
// Format: docs/trace-format.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/run_description.h"

namespace moescope::store {

struct VocabularyEntry {
  std::string bytes;  // as the token continues a text
  std::string text;   // for display
};

// One document, known before its tokens are committed.
struct DocumentRecord {
  int64_t document = 0;
  std::string dataset, source, unit;
  uint64_t n_bytes = 0;
  int64_t first_token = 0;  // global token index
  int64_t n_tokens = 0;
  uint64_t hash = 0;
};

struct TokenRecord {
  int64_t token = 0;  // global index, consecutive over the run
  int64_t document = 0;
  int64_t sequence = 0;
  int32_t position = 0;
  int32_t token_id = 0;
  uint32_t byte_start = 0;
  uint32_t byte_end = 0;
  float loss = 0;     // NaN: null
  uint8_t special = 0;
  uint8_t phase = 0;  // 0: prefill (a sweep)
};

// The decisions of one layer for all rows of a wave, in token order.
struct LayerRoutes {
  std::span<const int16_t> experts;  // [n_rows, K]; -1: dropped slot
  std::span<const float> weights;    // [n_rows, K]
  std::span<const float> margins;    // [n_rows]
  std::span<const float> entropies;  // [n_rows]
  std::span<const float> logits;     // [n_rows, E] or empty
};

// Not thread-safe. Parts may be compressed on a thread of the writer's own.
class RunWriter {
 public:
  // Creates `directory`, or resumes the unfinished run in it (a dead process's lock is taken over).
  // Throws Error(kBadInput) when the directory holds something else or a run with another
  // description (naming the first difference), kResource/kIo, and kBadInput naming the process
  // when a living one holds the lock. `memory_bytes`: for DuckDB and buffers.
  RunWriter(const std::string& directory, const RunDescription& description,
            const std::vector<VocabularyEntry>& vocabulary, uint64_t memory_bytes);
  // Leaves a resumable run; releases the lock.
  ~RunWriter();

  // True when the run was complete already: nothing is left to do.
  bool complete() const;
  // Tokens and documents that earlier waves committed: the caller goes on after them.
  int64_t n_tokens() const;
  int64_t n_documents_begun() const;  // documents with at least one committed token

  // Commits one wave: durable when it returns. `documents` are those whose first token is in it.
  // `routes` has one entry a layer. Throws Error(kIo); the run then stays as before the call.
  void CommitWave(std::span<const DocumentRecord> documents, std::span<const TokenRecord> tokens,
                  std::span<const LayerRoutes> routes);

  // Cuts the last part, marks the run complete.
  void Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::store
