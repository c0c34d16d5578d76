// The text of a run as the model saw it: token ids, sequence by sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "store/database.h"

namespace moescope::lab {

// 4 bytes a token, 8 a sequence.
struct StoredText {
  std::vector<int64_t> first_token;  // of each sequence, and the number of tokens at the end
  std::vector<int32_t> token_ids;    // [n_tokens]

  int64_t n_sequences() const { return static_cast<int64_t>(first_token.size()) - 1; }
  std::span<const int32_t> Ids(int64_t sequence) const;
  // Requires: 0 <= token < n_tokens.
  int64_t SequenceOf(int64_t token) const;
};

// From a database with the views of a run. Throws as Database::Stream, kCancelled.
StoredText ReadStoredText(store::Database& database);

}  // namespace moescope::lab
