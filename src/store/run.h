// A run directory opened for reading: its description and its SQL views.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/run_description.h"

namespace moescope::store {

class Run {
 public:
  // Throws Error(kNotFound), kCorrupt (naming the file), kBadInput when it holds no committed part.
  // A partial run opens with what its manifest has committed.
  static Run Open(const std::string& directory);

  const RunDescription& description() const { return description_; }
  const std::string& directory() const { return directory_; }
  bool complete() const { return complete_; }
  // 16 hex digits that name its content.
  const std::string& identity() const { return identity_; }
  int64_t n_tokens() const { return n_tokens_; }
  int64_t n_documents() const { return n_documents_; }

  // A database with the views documents, tokens, routes (with a column `layer`), vocabulary and
  // assignments (token, layer, rank, expert, weight); and two table macros, expert_tokens(layer,
  // expert) and token_experts(token_id), described in docs/trace-format.md. What a dense run has no
  // routes for is there and has no rows.
  // Throws Error(kCorrupt) when a part cannot be read, kResource.
  std::unique_ptr<Database> OpenViews(const DatabaseOptions& options) const;
  // The Parquet files behind the views, absolute: what Database::LockDown may leave readable.
  std::vector<std::string> Files() const;

 private:
  RunDescription description_;
  std::string directory_;
  std::string identity_;
  bool complete_ = false;
  int64_t n_tokens_ = 0;
  int64_t n_documents_ = 0;
  std::vector<std::string> document_files_, token_files_, route_files_;  // absolute
};

struct VerifyResult {
  int64_t n_files = 0;
  uint64_t n_bytes = 0;
  bool complete = false;              // the run was finished
  std::vector<std::string> problems;  // one line a damaged, missing or unexpected file
};
// Re-hashes every file the manifest names.
VerifyResult VerifyRun(const std::string& directory);

}  // namespace moescope::store
