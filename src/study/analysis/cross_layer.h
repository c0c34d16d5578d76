// How much the first choices of two layers say about each other.
// Source: OLMoE, arXiv 2409.02060, for the published counts. Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// Bits of information in a table of counts.
struct MutualInformation {
  double plug_in = 0;       // of the shares as they are; NaN for an empty table
  double miller_madow = 0;  // less the bias that finite counts give it, to first order
};

//   counts  [n_rows, n_columns]
MutualInformation InformationOf(const std::vector<int64_t>& counts, int n_columns);

struct CrossLayerOptions {
  int n_shifts = 99;       // of the null; 0: none
  int64_t min_count = 10;  // occurrences of a token id, for the information given the token
  bool given_token = true;
  BootstrapOptions bootstrap;
};

// One data set at a pair of layers; information in bits.
struct CrossLayerCell {
  std::string dataset;
  int layer = 0;
  int other = 0;
  int n_experts = 0;
  int64_t rows = 0;             // that have a first choice at both
  std::vector<int64_t> counts;  // [expert at layer, expert at other]
  MutualInformation information;
  double shift_null = 0;  // mean, one of the layers shifted against the other
  double p_value = 0;     // of as much information after a shift
  // Given the token id, on rows of ids seen at least min_count times.
  double token_coverage = 0;  // share of rows
  MutualInformation covered;  // not given the token, on the same rows
  MutualInformation given_token;
  double given_token_null = 0;  // shifted among the occurrences of each id
  int64_t n_units = 0;
  std::optional<Interval> interval;  // of the plug-in value
  std::string why_no_interval;
};

// First choices of the two layers, [n_rows], -1: dropped. One cell for each data set.
std::vector<CrossLayerCell> ComputeCrossLayer(const RowColumns& rows, int n_experts,
                                              std::pair<int, int> layers,
                                              const std::vector<int16_t>& first,
                                              const std::vector<int16_t>& second,
                                              const CrossLayerOptions& options, ThreadPool& pool);

// "0:7,7:15" are pairs, "0,7,15" all pairs of these, "" consecutive layers and those of the first,
// middle and last. Throws Error(kBadInput) naming the text or the layer that is not there.
std::vector<std::pair<int, int>> ParseLayerPairs(const std::string& text,
                                                 const std::vector<int>& available);

// Over pairs of layers of a run; at most four layers' first choices are in memory.
// Throws Error(kBadInput) for a dense run.
std::vector<CrossLayerCell> CrossLayerTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows,
                                            const std::vector<std::pair<int, int>>& layers,
                                            const CrossLayerOptions& options, ThreadPool& pool);

}  // namespace moescope::study
