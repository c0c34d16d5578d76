// Which experts are chosen together within a layer.
// Source: OLMoE, arXiv 2409.02060, co-activation. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

struct CoactivationOptions {
  // Only neighbours in rank (first with second, second with third, ...), as published code counts
  // them. For two choices that is every pair.
  bool as_published = false;
  BootstrapOptions bootstrap;
};

inline constexpr int kMaxExpertsForPairIntervals = 16;  // beyond, pairs are too many to resample

// An ordered pair of experts: of the rows that chose `expert`, the share that chose `other` too.
struct CoactivationPair {
  int expert = 0;
  int other = 0;
  int64_t together = 0;
  double share = 0;  // together / rows of `expert`; NaN when it has none
  double expected =
      0;  // were the partners of every expert independent of it, each keeping its total
  std::optional<Interval> interval;
};

// One data set at one layer.
struct CoactivationCell {
  std::string dataset;
  int layer = 0;
  int n_experts = 0;
  int64_t rows = 0;
  int64_t n_units = 0;
  std::vector<int64_t> chosen;          // [n_experts] rows that chose each
  std::vector<CoactivationPair> pairs;  // expert by expert, without itself
  std::string why_no_interval;
};

std::vector<CoactivationCell> ComputeCoactivation(const RowColumns& rows, const LayerColumns& layer,
                                                  const CoactivationOptions& options,
                                                  ThreadPool& pool);

// Over the layers of a run. Throws Error(kBadInput) for a dense run or one of a single choice.
std::vector<CoactivationCell> CoactivationTable(const store::Run& run, store::Database& database,
                                                const RowColumns& rows,
                                                const std::vector<int>& layers,
                                                const CoactivationOptions& options,
                                                ThreadPool& pool);

// Expected counts of unordered pairs under quasi-independence: x_a x_b for a != b, with the x for
// which each expert keeps its total over its partners. Iterated until totals agree to 1e-9
// relative, at most 1,000 times (an expert in every row has no such x; it is then approached).
//   totals  [n] sums over partners
// Returns [n, n], 0 on the diagonal.
std::vector<double> QuasiIndependentPairs(const std::vector<double>& totals);

}  // namespace moescope::study
