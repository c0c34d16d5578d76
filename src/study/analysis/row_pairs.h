// Pairs of rows a given number of positions apart, inside one sequence.
#pragma once

#include <cstdint>

#include "study/analysis/route_columns.h"

namespace moescope::study {

struct PairRule {
  int lag = 1;
  bool differing_tokens = false;
};

// Calls fn(i, j) for every pair of plain rows of `sequence` with position[j] = position[i] + lag.
// A special row between them leaves the pair in; at either end it is no plain row.
template <typename Fn>
void ForEachPair(const RowColumns& rows, const SequenceRange& sequence, const PairRule& rule,
                 Fn&& fn) {
  const int64_t end = sequence.first_row + sequence.n_rows;
  int64_t j = sequence.first_row;
  for (int64_t i = sequence.first_row; i < end; ++i) {
    const int32_t wanted = rows.position[i] + rule.lag;
    while (j < end && rows.position[j] < wanted) ++j;
    if (j == end) return;
    if (rows.position[j] != wanted) continue;
    if (rule.differing_tokens && rows.token_id[i] == rows.token_id[j]) continue;
    fn(i, j);
  }
}

}  // namespace moescope::study
