// How often each path of first choices over chosen layers is taken, against layers that do not
// know of each other and against layers that know of the one before. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

inline constexpr int kMaxPathLayers = 6;

struct PathsOptions {
  int limit = 20;          // paths by count, and as many by lift
  int64_t min_count = 10;  // of a path before its lift means anything
  int n_shifts = 99;       // of the null; 0: none
  BootstrapOptions bootstrap;
};

struct PathShare {
  std::vector<int16_t> experts;
  int64_t count = 0;
  double share = 0;
  std::optional<Interval> interval;
  double independent = 0;  // product of marginal shares
  double markov = 0;       // first order over the chosen layers
  int rank_by_count = 0;   // from 1; 0: not among the first `limit`
  int rank_by_lift = 0;

  double lift() const { return share / independent; }
  double markov_lift() const { return share / markov; }
};

// Rows whose first choices at two neighbouring chosen layers are these.
struct PathLink {
  int layer = 0, expert = 0, next_layer = 0, next_expert = 0;
  int64_t count = 0;
};

struct Paths {
  std::vector<int> layers;
  int64_t rows = 0;             // with a path: no first choice dropped
  int64_t distinct = 0;         // paths that occur
  double possible = 0;          // E to the number of layers
  double entropy = 0;           // bits, plug-in, of paths
  double sum_of_entropies = 0;  // of layers: the entropy if they were independent
  double markov_entropy = 0;
  // Dependence: sum_of_entropies - entropy. Null: each layer after the first shifted in a circle
  // against the first by a random number of rows, which keeps what each layer does along the text.
  double dependence = 0;
  double null_mean = 0;  // NaN without shifts
  double null_high = 0;  // the largest
  int n_shifts = 0;
  double p = 0;
  int64_t n_units = 0;
  std::string why_no_interval;
  std::vector<PathShare> paths;  // by count, then those only high by lift
  std::vector<PathLink> links;
};

// `of`: rows to look at, increasing; empty with `all`: every row.
struct PathRows {
  bool all = true;
  std::vector<int32_t> of;
};

// Holds the first choices of the chosen layers: 2 bytes a row and layer, and 4 a row.
// Throws Error(kBadInput) for fewer than 2 layers or more than kMaxPathLayers.
Paths ComputePaths(const store::Run& run, store::Database& database, const RowColumns& rows,
                   const PathRows& of, const std::vector<int>& layers, const PathsOptions& options,
                   ThreadPool& pool);

// The same from first choices in memory: [layers][n_rows of `of`]; -1: dropped.
Paths ComputePathsOf(const RowColumns& rows, const PathRows& of, const std::vector<int>& layers,
                     const std::vector<std::vector<int16_t>>& first_choices, int n_experts,
                     const PathsOptions& options, ThreadPool& pool);

}  // namespace moescope::study
