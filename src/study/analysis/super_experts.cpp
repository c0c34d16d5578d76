#include "study/analysis/super_experts.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "study/analysis/bootstrap.h"

namespace moescope::study {
namespace {

constexpr double kPercentile = 0.995;
constexpr double kOfLargest = 0.1;
constexpr double kOfLayers = 0.75;
constexpr double kMassive = 100, kOfMedian = 1000;
constexpr double kOfUnflagged = 5;

bool InFirstLayers(int layer, size_t n_layers) {
  return layer < kOfLayers * static_cast<double>(n_layers);
}

bool IsMassive(const ResidualPeak& residual) {
  return residual.peak > kMassive && residual.peak > kOfMedian * residual.median;
}

bool IsFlagged(std::span<const SuperExpert> flagged, const OutputPeak& cell) {
  return std::any_of(flagged.begin(), flagged.end(), [&](const SuperExpert& expert) {
    return expert.layer == cell.layer && expert.expert == cell.expert;
  });
}

}  // namespace

std::vector<SuperExpert> FindSuperExperts(std::span<const OutputPeak> peaks,
                                          std::span<const ResidualPeak> residuals) {
  std::vector<double> sorted;
  for (const OutputPeak& cell : peaks) sorted.push_back(cell.peak);
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return {};
  const double least = std::max(Quantile(sorted, kPercentile), kOfLargest * sorted.back());

  std::vector<SuperExpert> found;
  for (const OutputPeak& cell : peaks) {
    if (cell.peak <= least || !InFirstLayers(cell.layer, residuals.size())) continue;
    SuperExpert& expert = found.emplace_back();
    expert.layer = cell.layer;
    expert.expert = cell.expert;
    expert.peak = cell.peak;
  }
  double unflagged = 0;
  for (const OutputPeak& cell : peaks) {
    if (!IsFlagged(found, cell)) unflagged = std::max(unflagged, cell.peak);
  }
  for (SuperExpert& expert : found) {
    expert.best_unflagged = unflagged;
    expert.stands_out = expert.peak >= kOfUnflagged * unflagged;
    expert.massive = true;
    for (size_t layer = static_cast<size_t>(expert.layer); layer < residuals.size(); ++layer) {
      if (!InFirstLayers(static_cast<int>(layer), residuals.size())) break;
      expert.massive = expert.massive && IsMassive(residuals[layer]);
    }
  }
  return found;
}

void JudgeEffects(double effect, std::span<const double> random, SuperExpert& expert) {
  expert.effect = effect;
  expert.n_random = static_cast<int>(random.size());
  if (random.empty()) return;
  expert.largest_random = *std::max_element(random.begin(), random.end());
  expert.breaks = expert.n_random >= kRandomCells && effect > *expert.largest_random;
}

std::vector<size_t> RandomCells(std::span<const OutputPeak> peaks,
                                std::span<const SuperExpert> flagged, int n, uint64_t seed) {
  std::vector<size_t> cells;
  for (size_t i = 0; i < peaks.size(); ++i) {
    if (!IsFlagged(flagged, peaks[i])) cells.push_back(i);
  }
  std::mt19937_64 random(seed);
  const size_t wanted = std::min(cells.size(), static_cast<size_t>(n));
  for (size_t i = 0; i < wanted; ++i) {
    const size_t from = i + static_cast<size_t>(random() % (cells.size() - i));
    std::swap(cells[i], cells[from]);
  }
  cells.resize(wanted);
  std::sort(cells.begin(), cells.end());
  return cells;
}

}  // namespace moescope::study
