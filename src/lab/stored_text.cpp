#include "lab/stored_text.h"

#include <algorithm>

#include "base/cancellation.h"

namespace moescope::lab {

std::span<const int32_t> StoredText::Ids(int64_t sequence) const {
  const auto begin = static_cast<size_t>(first_token[static_cast<size_t>(sequence)]);
  const auto end = static_cast<size_t>(first_token[static_cast<size_t>(sequence) + 1]);
  return std::span(token_ids).subspan(begin, end - begin);
}

int64_t StoredText::SequenceOf(int64_t token) const {
  return std::upper_bound(first_token.begin(), first_token.end(), token) - first_token.begin() - 1;
}

StoredText ReadStoredText(store::Database& database) {
  StoredText text;
  database.Stream("SELECT sequence, token_id FROM tokens ORDER BY token", [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto sequences = chunk.Integers(0), ids = chunk.Integers(1);
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      while (static_cast<int64_t>(text.first_token.size()) <= sequences[row]) {
        text.first_token.push_back(static_cast<int64_t>(text.token_ids.size()));
      }
      text.token_ids.push_back(static_cast<int32_t>(ids[row]));
    }
  });
  text.first_token.push_back(static_cast<int64_t>(text.token_ids.size()));
  return text;
}

}  // namespace moescope::lab
