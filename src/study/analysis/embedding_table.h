// How like its token, and the next one, the hidden state of a token is, by layer and data set: from
// sums by unit to means with intervals, and each data set against the rest.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {

// Where the residual stream is looked at, layer by layer.
enum class EmbeddingSite { kAfterAttention, kAfterMoe };
inline constexpr int kEmbeddingSites = 2;

// The columns of sums by unit: four for each layer and site, then those of the unit.
struct EmbeddingColumns {
  enum Kind { kInput, kInputNull, kOutput, kOutputNull, kKinds };
  int n_layers = 0;
  int n_places() const { return n_layers * kEmbeddingSites; }
  int Of(int place, Kind kind) const { return place * kKinds + kind; }
  int Of(int layer, EmbeddingSite site, Kind kind) const {
    return Of(layer * kEmbeddingSites + static_cast<int>(site), kind);
  }
  int n_tokens() const { return n_places() * kKinds; }
  int n_pairs() const { return n_tokens() + 1; }    // tokens with a next one
  int predicted() const { return n_tokens() + 2; }  // of the last layer's output, over pairs
  int count() const { return n_tokens() + 3; }
};

struct EmbeddingDataset {
  std::string name, unit_by;
  int64_t n_units = 0;
  std::vector<double> sums;  // [n_units, columns.count()]
};

// A mean correlation with one embedding.
struct EmbeddingEstimate {
  double correlation = 0;  // with the right token
  std::optional<Interval> interval;
  double null = 0;    // with one drawn from the data set
  double excess = 0;  // correlation - null
  std::optional<Interval> excess_interval;
  double against_rest = 0;  // correlation minus the mean of the other data sets'; NaN: none
  std::optional<Interval> against_rest_interval;
};

struct EmbeddingRow {
  std::string dataset;
  int layer = 0;
  EmbeddingSite site = EmbeddingSite::kAfterAttention;
  int64_t n_units = 0, n_tokens = 0, n_pairs = 0;
  EmbeddingEstimate input, output;
  double predicted = 0;  // with the output embedding of the prediction; NaN but at the end
  std::optional<Interval> predicted_interval;
  std::string why_no_interval;
};

// Rows by layer, site, data set. Units are resampled within each data set. Against the rest: those
// of every data set; an interval where the data set and the rest have 10 units each.
std::vector<EmbeddingRow> EmbeddingTable(const std::vector<EmbeddingDataset>& datasets,
                                         int n_layers, const BootstrapOptions& options,
                                         ThreadPool& pool);

}  // namespace moescope::study
