// What a cache of experts is asked for, in the order of time: one data set's decisions at one
// layer, or at several layers that share a cache, token by token.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Consecutive rows of a stream that belong to one sequence.
struct StreamSequence {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  int64_t first_lookup = 0;
  int32_t unit = 0;  // place in DatasetInfo::units
};

// One row for each token and layer, layers in turn. 4 K bytes a row.
struct ExpertStream {
  int n_experts = 0;  // of all layers: experts of the l-th are l * E, l * E + 1, ...
  int experts_per_token = 0;
  int n_units = 0;
  int64_t n_lookups = 0;
  std::vector<int32_t> experts;  // [n_rows, experts_per_token] each once, -1 in the places left
  std::vector<StreamSequence> sequences;

  // The experts of a row: dropped slots and repetitions left out.
  std::span<const int32_t> Row(int64_t row) const {
    const int32_t* begin = experts.data() + row * experts_per_token;
    size_t n = static_cast<size_t>(experts_per_token);
    while (n > 0 && begin[n - 1] < 0) --n;
    return {begin, n};
  }
};

// shuffle_key: whole decisions change places within their sequence, at all layers alike.
// Requires: layers of the same shape, at least one.
ExpertStream MakeExpertStream(const RowColumns& rows, const DatasetInfo& dataset,
                              std::span<const LayerColumns> layers,
                              std::optional<uint64_t> shuffle_key);

// For each lookup the index of the next one of the same expert, BeladyOrder::kNever without one;
// `restarts`: none beyond the end of its sequence.
// Throws Error(kResource) for 2^31 lookups or more.
std::vector<int32_t> NextUses(const ExpertStream& stream, bool restarts);

}  // namespace moescope::study
