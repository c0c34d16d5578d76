// `attention`: what heads look at, as figures of every head and as rows or a matrix of one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "files/model_config.h"
#include "routing/probe.h"

namespace moescope::lab {

// Means over the rows of a wave, position 0 left out: it sees nothing but itself.
struct HeadFigures {
  int layer = 0, head = 0;
  int64_t n_rows = 0;
  double entropy = 0;   // nats
  double distance = 0;  // tokens back, weighted
  double sink = 0;      // weight on position 0
  double previous = 0;  // weight on the position before
  double self = 0;      // weight on the row's own position
};

// Sums are of fixed-point numbers, so they are the same for any number of threads. Memory does not
// grow with the text.
class HeadFiguresProbe : public routing::Probe {
 public:
  explicit HeadFiguresProbe(const files::ModelConfig& config);

  uint32_t sites() const override { return routing::kSiteAttention; }
  void OnAttention(const routing::AttentionBatch& batch) override;
  // Of all rows so far, by layer, then head.
  std::vector<HeadFigures> Figures() const;

 private:
  static constexpr int kFigures = 5;
  struct Sums {
    std::atomic<int64_t> n_rows{0};
    std::atomic<int64_t> sums[kFigures] = {};
  };
  int n_heads_;
  size_t n_sums_;
  std::unique_ptr<Sums[]> sums_;  // [n_layers * n_heads]
};

// Keeps the attention of some rows of one head of the first sequence: O(rows x positions).
class AttentionRowsProbe : public routing::Probe {
 public:
  // Rows [first, last] of a sequence of n_positions.
  AttentionRowsProbe(int layer, int head, int64_t first, int64_t last, int64_t n_positions);

  uint32_t sites() const override { return routing::kSiteAttention; }
  void OnAttention(const routing::AttentionBatch& batch) override;

  int64_t first() const { return first_; }
  int64_t n_rows() const { return last_ - first_ + 1; }
  // Weights of a kept row over all positions, 0 after its own.
  std::span<const float> Row(int64_t row) const;

 private:
  int layer_, head_;
  int64_t first_, last_, n_positions_;
  std::vector<float> weights_;  // [n_rows, n_positions]
};

}  // namespace moescope::lab
