// `attention`: what heads look at, as figures of every head and as rows of one.
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

// What a head that spreads its weight evenly over all it sees would have: the null of the figures.
// `window` as in ModelConfig. O(n_positions).
HeadFigures EvenAttention(int64_t n_positions, int window);

// What a head mostly does: half of its weight or more on the first token, the previous token, the
// token itself (asked in this order), else an entropy of at least kBroadEntropy of even
// attention's.
enum class HeadKind { kSink, kPrevious, kSelf, kBroad, kOther };
inline constexpr double kMostOfTheWeight = 0.5;
inline constexpr double kBroadEntropy = 0.75;
HeadKind KindOf(const HeadFigures& head, const HeadFigures& even);
const char* Name(HeadKind kind);  // "sink", "previous", "self", "broad", "other"

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

  int layer() const { return layer_; }
  int head() const { return head_; }
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
