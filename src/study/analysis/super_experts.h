// Super experts: single experts whose outputs make massive activations, without which a model
// collapses. As published, and as a finding, which needs more. Definitions: docs/audit.md.
// Source: arXiv 2507.23279.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace moescope::study {

// What is known of one (layer, expert).
struct OutputPeak {
  int layer = 0, expert = 0;
  double peak = 0;   // max |output of down_proj|
  int64_t row = -1;  // of the text, where it was met
};
// The largest |h| of the residual stream after a layer, and the median |h| of its row.
struct ResidualPeak {
  double peak = 0, median = 0;
  int64_t row = -1;
};

struct SuperExpert {
  int layer = 0, expert = 0;
  double peak = 0;
  double best_unflagged = 0;  // the largest peak of an expert that is not flagged
  // From its layer on to the last of the first 75 %: |h| > 100 and > 1,000 times the median.
  bool massive = false;
  bool stands_out = false;  // peak at least 5 times the best unflagged
  // Loss of `zero` on it, and the largest of random other cells; set by JudgeEffects.
  std::optional<double> effect, largest_random;
  int n_random = 0;
  bool breaks = false;  // above every one of 20 or more
  bool finding() const { return massive && stands_out && breaks; }
};

// Of 20 or more random cells the effect must be the largest.
inline constexpr int kRandomCells = 20;

// As published: peak above the 99.5th percentile of all, above a tenth of the largest, in the first
// 75 % of layers; then what else can be said without changing the model.
//   peaks [n_layers * n_experts]   residuals [n_layers]
std::vector<SuperExpert> FindSuperExperts(std::span<const OutputPeak> peaks,
                                          std::span<const ResidualPeak> residuals);
// The effects of `zero` on it and on random cells, in nats.
void JudgeEffects(double effect, std::span<const double> random, SuperExpert& expert);

// Up to `n` cells that are not flagged, without repetition, in increasing order; the same for a
// seed.
std::vector<size_t> RandomCells(std::span<const OutputPeak> peaks,
                                std::span<const SuperExpert> flagged, int n, uint64_t seed);

}  // namespace moescope::study
