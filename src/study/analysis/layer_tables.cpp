// Analyses of one layer, repeated over the layers of a run, one layer in memory at a time.
#include <algorithm>

#include "study/analysis/expert_shares.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/repetition.h"

namespace moescope::study {

std::vector<RepetitionCell> RepetitionTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const RepetitionOptions& options, ThreadPool& pool) {
  return RepetitionLagTable(run, database, rows, layers, {options.lag}, options, pool);
}

std::vector<RepetitionCell> RepetitionLagTable(const store::Run& run, store::Database& database,
                                               const RowColumns& rows,
                                               const std::vector<int>& layers,
                                               const std::vector<int>& lags,
                                               const RepetitionOptions& options, ThreadPool& pool) {
  std::vector<RepetitionCell> cells =
      LayerTable("repetition", run, database, rows, layers, [&](const LayerColumns& layer) {
        return ComputeRepetitionAtLags(rows, layer, lags, options, pool);
      });
  // Data set by data set, as the paper prints it.
  std::stable_sort(cells.begin(), cells.end(),
                   [&](const RepetitionCell& a, const RepetitionCell& b) {
                     const auto place = [&](const RepetitionCell& cell) {
                       size_t d = 0;
                       while (rows.datasets[d].name != cell.dataset) ++d;
                       return d;
                     };
                     return place(a) < place(b);
                   });
  return cells;
}

std::vector<ExpertShare> ExpertShareTable(const store::Run& run, store::Database& database,
                                          const RowColumns& rows, const std::vector<int>& layers,
                                          const SharesOptions& options, ThreadPool& pool) {
  return LayerTable("shares", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeExpertShares(rows, layer, options, pool);
  });
}

}  // namespace moescope::study
