// Analyses of one layer, repeated over the layers of a run, one layer in memory at a time.
#include <algorithm>

#include "study/analysis/expert_shares.h"
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
  RequireRoutes(run);
  std::vector<RepetitionCell> cells;
  for (int layer : layers) {
    auto more =
        ComputeRepetitionAtLags(rows, LoadLayer(run, database, rows, layer), lags, options, pool);
    cells.insert(cells.end(), more.begin(), more.end());
  }
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
  RequireRoutes(run);
  std::vector<ExpertShare> shares;
  for (int layer : layers) {
    auto more = ComputeExpertShares(rows, LoadLayer(run, database, rows, layer), options, pool);
    shares.insert(shares.end(), more.begin(), more.end());
  }
  return shares;
}

}  // namespace moescope::study
