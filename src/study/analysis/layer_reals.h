// Numbers that the store keeps beside the decisions of a layer: routing weights, margins,
// entropies.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Columns of one layer's routes ("weight_0", "margin"), for the rows of a RowColumns.
// [n_rows, names.size()]; NaN where the store has null or no row.
// Throws Error(kCorrupt) for a token that is not there. Checks less than LoadLayer: call that too.
std::vector<float> LoadLayerReals(const store::Run& run, store::Database& database,
                                  const RowColumns& rows, int layer,
                                  const std::vector<std::string>& names);

// Routing weights [n_rows, K] as stored; 0 for a dropped slot.
// Throws Error(kBadInput) where a chosen expert has none, as in some imported runs.
std::vector<float> LoadStoredWeights(const store::Run& run, store::Database& database,
                                     const RowColumns& rows, const LayerColumns& layer);

// Routing weights [n_rows, K] that sum to 1 in each row, in the order of its choices; 0 for a
// dropped slot. A row whose weights sum to nothing has equal ones.
std::vector<float> LoadNormalisedWeights(const store::Run& run, store::Database& database,
                                         const RowColumns& rows, const LayerColumns& layer);

}  // namespace moescope::study
