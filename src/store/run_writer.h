// Writes a run directory: a checksummed journal a wave, Parquet parts cut from it, the manifest.
// Format: docs/trace-format.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/part_cutter.h"
#include "store/run_description.h"
#include "store/wave.h"

namespace moescope::store {

// Not thread-safe. Parts are compressed on a thread of the writer's own.
class RunWriter {
 public:
  // Creates `directory`, or resumes the unfinished run in it (a dead process's lock is taken over).
  // Throws Error(kBadInput) when the directory holds something else or a run with another
  // description (naming the first difference), kResource/kIo, and kBadInput naming the process
  // when a living one holds the lock. `memory_bytes`: for DuckDB and buffers,
  // of which 32 MB are the least.
  RunWriter(const std::string& directory, const RunDescription& description,
            const std::vector<VocabularyEntry>& vocabulary, uint64_t memory_bytes);
  // Leaves a resumable run; releases the lock.
  ~RunWriter();

  // True when the run was complete already: nothing is left to do.
  bool complete() const;
  // Tokens and documents that earlier waves committed: the caller goes on after them.
  int64_t n_tokens() const;
  int64_t n_documents_begun() const;  // documents given to CommitWave

  // Commits one wave: durable when it returns. `documents` are those whose first token is in it
  // (one without tokens: any wave before its successor's). Their numbers, first tokens and the
  // token numbers continue those of earlier waves. `routes` has one entry a layer
  // with routes: none in a dense run.
  // Throws Error(kIo); the run then stays as before the call. An error of the thread that cuts
  // parts is thrown by the next call; what was committed stays so.
  void CommitWave(std::span<const DocumentRecord> documents, std::span<const TokenRecord> tokens,
                  std::span<const LayerRoutes> routes);

  // Cuts the last part, marks the run complete. Throws as CommitWave, and Error(kBadInput) for a
  // run without tokens. Requires: all tokens of all documents are committed.
  void Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::store
