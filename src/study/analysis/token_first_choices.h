// First choices by token id over a data set, from which one document at a time can be taken out:
// what the same token got elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Memory: 4 bytes x experts for each token id up to the largest. Not thread-safe.
class TokenFirstChoices {
 public:
  TokenFirstChoices(const RowColumns& rows, const DatasetInfo& dataset, const LayerColumns& layer);

  // Removes a document's rows, or adds them again.
  void TakeOut(const DocumentRange& document) { Add(document, -1); }
  void PutBack(const DocumentRange& document) { Add(document, 1); }

  // Counts by expert and their sum; all 0 for an unknown token.
  std::span<const int32_t> Counts(int32_t token_id) const;
  int64_t Total(int32_t token_id) const { return token_id < 0 ? 0 : totals_[token_id]; }

  // The probability that independent draws, one for each of `tokens`, all give one expert. A token
  // that stands there twice is drawn from different occurrences. NaN when one does not occur, or
  // not as often as it is needed.
  double AllAlike(std::span<const int32_t> tokens) const;

 private:
  void Add(const DocumentRange& document, int32_t sign);

  const RowColumns& rows_;
  const LayerColumns& layer_;
  std::vector<int32_t> counts_;  // [token id, n_experts]
  std::vector<int32_t> totals_;  // [token id]
  std::vector<int32_t> none_;    // [n_experts] zeros
};

}  // namespace moescope::study
