// Analyses of one layer, repeated over the layers of a run.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <type_traits>
#include <vector>

#include "base/function_ref.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// Loads layers one after another, one in memory at a time, and hands each to `visit`; progress
// under `title`. Throws as LoadLayer, and Error(kCancelled).
void ForEachLayer(const std::string& title, const store::Run& run, store::Database& database,
                  const RowColumns& rows, const std::vector<int>& layers,
                  FunctionRef<void(const LayerColumns&)> visit);

// The rows that compute(layer) returns for each layer, in one list.
template <typename Compute>
auto LayerTable(const std::string& title, const store::Run& run, store::Database& database,
                const RowColumns& rows, const std::vector<int>& layers, const Compute& compute) {
  std::invoke_result_t<Compute, const LayerColumns&> table;
  ForEachLayer(title, run, database, rows, layers, [&](const LayerColumns& layer) {
    auto more = compute(layer);
    std::move(more.begin(), more.end(), std::back_inserter(table));
  });
  return table;
}

}  // namespace moescope::study
