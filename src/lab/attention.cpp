#include "lab/attention.h"

#include <algorithm>
#include <cmath>

namespace moescope::lab {
namespace {

// With a context of at most 2^24 (entropy below 17) and fewer than 2^31 rows sums stay below 2^62.
constexpr double kFixedPointOfWeights = 0x1p31;
constexpr double kFixedPointOfEntropy = 0x1p26;
constexpr double kFixedPointOfDistance = 0x1p7;

struct RowFigures {
  double entropy = 0, distance = 0;
};

RowFigures FiguresOf(std::span<const float> weights, int64_t first_key, int64_t position) {
  RowFigures figures;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double weight = weights[i];
    if (weight <= 0) continue;
    figures.entropy -= weight * std::log(weight);
    figures.distance +=
        weight * static_cast<double>(position - first_key - static_cast<int64_t>(i));
  }
  return figures;
}

int64_t Fixed(double value, double scale) {
  return static_cast<int64_t>(std::llround(value * scale));
}

}  // namespace

HeadFigures EvenAttention(int64_t n_positions, int window) {
  HeadFigures even;
  for (int64_t position = 1; position < n_positions; ++position) {
    const int64_t n_seen = window > 0 ? std::min<int64_t>(position + 1, window) : position + 1;
    const double weight = 1 / static_cast<double>(n_seen);
    even.entropy += std::log(static_cast<double>(n_seen));
    even.distance += static_cast<double>(n_seen - 1) / 2;
    if (n_seen == position + 1) even.sink += weight;
    if (n_seen > 1) even.previous += weight;
    even.self += weight;
  }
  even.n_rows = std::max<int64_t>(n_positions - 1, 0);
  if (even.n_rows == 0) return even;
  for (double* sum : {&even.entropy, &even.distance, &even.sink, &even.previous, &even.self}) {
    *sum /= static_cast<double>(even.n_rows);
  }
  return even;
}

HeadKind KindOf(const HeadFigures& head, const HeadFigures& even) {
  if (head.sink >= kMostOfTheWeight) return HeadKind::kSink;
  if (head.previous >= kMostOfTheWeight) return HeadKind::kPrevious;
  if (head.self >= kMostOfTheWeight) return HeadKind::kSelf;
  return head.entropy >= kBroadEntropy * even.entropy ? HeadKind::kBroad : HeadKind::kOther;
}

const char* Name(HeadKind kind) {
  switch (kind) {
    case HeadKind::kSink:
      return "sink";
    case HeadKind::kPrevious:
      return "previous";
    case HeadKind::kSelf:
      return "self";
    case HeadKind::kBroad:
      return "broad";
    case HeadKind::kOther:
      return "other";
  }
  return "other";
}

HeadFiguresProbe::HeadFiguresProbe(const files::ModelConfig& config)
    : n_heads_(config.n_heads),
      n_sums_(static_cast<size_t>(config.n_layers) * static_cast<size_t>(config.n_heads)),
      sums_(std::make_unique<Sums[]>(n_sums_)) {}

void HeadFiguresProbe::OnAttention(const routing::AttentionBatch& batch) {
  int64_t n_rows = 0;
  int64_t sums[kFigures] = {};
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const int64_t position = batch.rows[row].position;
    if (position == 0) continue;
    const int64_t n_seen = position + 1 - batch.first_key;
    const std::span<const float> weights =
        batch.weights.subspan(row * static_cast<size_t>(batch.n_keys), static_cast<size_t>(n_seen));
    const RowFigures figures = FiguresOf(weights, batch.first_key, position);
    auto at = [&](int64_t key) {
      return key < batch.first_key ? 0.0
                                   : double{weights[static_cast<size_t>(key - batch.first_key)]};
    };
    ++n_rows;
    sums[0] += Fixed(figures.entropy, kFixedPointOfEntropy);
    sums[1] += Fixed(figures.distance, kFixedPointOfDistance);
    sums[2] += Fixed(at(0), kFixedPointOfWeights);
    sums[3] += Fixed(at(position - 1), kFixedPointOfWeights);
    sums[4] += Fixed(at(position), kFixedPointOfWeights);
  }
  Sums& of_head = sums_[static_cast<size_t>(batch.layer * n_heads_ + batch.head)];
  of_head.n_rows.fetch_add(n_rows, std::memory_order_relaxed);
  for (int i = 0; i < kFigures; ++i) {
    of_head.sums[i].fetch_add(sums[i], std::memory_order_relaxed);
  }
}

std::vector<HeadFigures> HeadFiguresProbe::Figures() const {
  std::vector<HeadFigures> all;
  for (size_t i = 0; i < n_sums_; ++i) {
    const Sums& sums = sums_[i];
    const int64_t n = sums.n_rows.load();
    auto mean = [&](int figure, double scale) {
      return n == 0
                 ? 0.0
                 : static_cast<double>(sums.sums[figure].load()) / scale / static_cast<double>(n);
    };
    all.push_back({.layer = static_cast<int>(i) / n_heads_,
                   .head = static_cast<int>(i) % n_heads_,
                   .n_rows = n,
                   .entropy = mean(0, kFixedPointOfEntropy),
                   .distance = mean(1, kFixedPointOfDistance),
                   .sink = mean(2, kFixedPointOfWeights),
                   .previous = mean(3, kFixedPointOfWeights),
                   .self = mean(4, kFixedPointOfWeights)});
  }
  return all;
}

AttentionRowsProbe::AttentionRowsProbe(int layer, int head, int64_t first, int64_t last,
                                       int64_t n_positions)
    : layer_(layer),
      head_(head),
      first_(first),
      last_(last),
      n_positions_(n_positions),
      weights_(static_cast<size_t>((last - first + 1) * n_positions)) {}

void AttentionRowsProbe::OnAttention(const routing::AttentionBatch& batch) {
  if (batch.layer != layer_ || batch.head != head_ || batch.rows[0].sequence != 0) return;
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const int64_t position = batch.rows[row].position;
    if (position < first_ || position > last_) continue;
    const float* from = batch.weights.data() + row * static_cast<size_t>(batch.n_keys);
    float* to = weights_.data() + (position - first_) * n_positions_ + batch.first_key;
    std::copy_n(from, position + 1 - batch.first_key, to);
  }
}

std::span<const float> AttentionRowsProbe::Row(int64_t row) const {
  return std::span(weights_).subspan(static_cast<size_t>((row - first_) * n_positions_),
                                     static_cast<size_t>(n_positions_));
}

}  // namespace moescope::lab
