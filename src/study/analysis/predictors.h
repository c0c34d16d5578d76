// What a decision might be predicted from: each row's token, previous token, position and domain as
// small integers, and the same permuted, as nulls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

struct Predictor {
  std::string name;
  int32_t n_values = 0;
  std::vector<int32_t> value;     // [n_rows]
  std::vector<int32_t> permuted;  // [n_rows] over rows; the domain over units
};

// "token", "previous token", "position", "domain", without those that a run cannot tell: tokens of
// imported routes without ids, the domain of a single data set. 8 bytes a row each.
//   previous token: of the plain row before in the sequence; the first has a value of its own
//   position: 0, 1-2, 3-6, 7-14, ...: the integer part of log2(position + 1)
//   domain: the data set
std::vector<Predictor> MakePredictors(const RowColumns& rows, uint64_t seed);

}  // namespace moescope::study
