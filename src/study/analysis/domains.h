// How differently data sets are routed: Jensen-Shannon distance of their expert shares, each
// against the rest and in pairs, beside what halves of one data set and shuffled labels give.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

struct DomainsOptions {
  int64_t n_permutations = 9999;  // of data set labels over units; pairs use the first 999
  int n_splits = 100;             // of a data set's units in halves
  BootstrapOptions bootstrap;
};

// One data set against another, or against the rest.
struct DomainDistance {
  std::string dataset;
  std::string other;  // "": the other data sets, equally weighted
  int layer = 0;
  double distance = 0;  // square root of the divergence in bits, 0 to 1
  std::optional<Interval> interval;
  double split_half = 0;  // mean distance of two halves of the data set's units; NaN for pairs
  double null_mean = 0;   // over permutations of labels
  double null_95 = 0;
  double p = 0;                 // of this data set alone; NaN for pairs and where why_no_p says why
  double p_max = 0;             // max-T over the data sets of the layer
  bool most_different = false;  // the largest distance from the rest at this layer
  int64_t n_units = 0;          // of `dataset`
  std::string why_no_interval, why_no_p;
};

struct Domains {
  std::vector<DomainDistance> distances;  // layer by layer: each against the rest, then pairs
  int64_t n_permutations = 0;
  bool is_exact = false;  // all arrangements of labels were tried
};

// Square root of the Jensen-Shannon divergence in bits of two distributions, 0 to 1. NaN if either
// is not one.
double JensenShannonDistance(std::span<const double> p, std::span<const double> q);

// One layer. Throws Error(kBadInput) for a single data set: there is nothing to compare.
Domains ComputeDomains(const RowColumns& rows, const LayerColumns& layer,
                       const DomainsOptions& options, ThreadPool& pool);

// The layers of a run, read one at a time.
Domains DomainsTable(const store::Run& run, store::Database& database, const RowColumns& rows,
                     const std::vector<int>& layers, const DomainsOptions& options,
                     ThreadPool& pool);

}  // namespace moescope::study
