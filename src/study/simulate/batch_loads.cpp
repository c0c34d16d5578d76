#include "study/simulate/batch_loads.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/cancellation.h"

namespace moescope::study {
namespace {

// The experts of a row, dropped slots included as -1.
std::span<const int16_t> ExpertsOf(const LayerColumns& layer, int64_t row) {
  const size_t n_slots = static_cast<size_t>(layer.experts_per_token);
  return std::span(layer.experts).subspan(static_cast<size_t>(row) * n_slots, n_slots);
}

// Adds the imbalance of one batch; one without assignments has none.
void AddImbalance(std::span<const int64_t> load, LoadSums& sums) {
  const int64_t all = std::accumulate(load.begin(), load.end(), int64_t{0});
  sums.assignments += all;
  if (all == 0) return;
  const double mean = static_cast<double>(all) / static_cast<double>(load.size());
  sums.imbalances.push_back(static_cast<double>(*std::max_element(load.begin(), load.end())) /
                            mean);
}

void CountExperts(const LayerColumns& layer, const Batches& batches, int64_t batch,
                  std::span<int64_t> load) {
  std::fill(load.begin(), load.end(), 0);
  for (int64_t j = 0; j < batches.batch; ++j) {
    for (int16_t expert : ExpertsOf(layer, batches.Row(batch, j))) {
      if (expert >= 0) ++load[static_cast<size_t>(expert)];
    }
  }
}

// GPUs that hold each expert, whose turns go round.
class Copies {
 public:
  Copies(std::span<const int> placement, const Cluster& cluster, int n_experts)
      : gpus_(static_cast<size_t>(n_experts)), turn_(static_cast<size_t>(n_experts)) {
    for (size_t place = 0; place < placement.size(); ++place) {
      gpus_[static_cast<size_t>(placement[place])].push_back(
          cluster.GpuOfPlace(static_cast<int>(place)));
    }
  }
  int NextGpu(int16_t expert) {
    const auto& gpus = gpus_[static_cast<size_t>(expert)];
    size_t& turn = turn_[static_cast<size_t>(expert)];
    const int gpu = gpus[turn];
    turn = turn + 1 == gpus.size() ? 0 : turn + 1;
    return gpu;
  }

 private:
  std::vector<std::vector<int>> gpus_;  // [n_experts]
  std::vector<size_t> turn_;
};

// The experts of one batch as they fill up.
class LimitedExperts {
 public:
  explicit LimitedExperts(int n_experts) : load_(static_cast<size_t>(n_experts)) {}
  void Begin(int64_t capacity) {
    std::fill(load_.begin(), load_.end(), 0);
    capacity_ = capacity;
  }
  // Assigns one row, in slot order.
  void Assign(std::span<const int16_t> experts, RefusedSums& sums) {
    taken_.assign(experts.begin(), experts.end());
    for (int16_t expert : experts) {
      if (expert < 0) continue;
      if (load_[static_cast<size_t>(expert)] < capacity_) {
        ++load_[static_cast<size_t>(expert)];
        continue;
      }
      const int other = LeastLoadedOther();
      if (other < 0) {
        ++sums.lost;
        continue;
      }
      ++sums.rerouted;
      ++load_[static_cast<size_t>(other)];
      taken_.push_back(static_cast<int16_t>(other));
    }
  }

 private:
  int LeastLoadedOther() const {
    int best = -1;
    for (size_t e = 0; e < load_.size(); ++e) {
      if (load_[e] >= capacity_) continue;
      if (best >= 0 && load_[e] >= load_[static_cast<size_t>(best)]) continue;
      if (std::find(taken_.begin(), taken_.end(), static_cast<int16_t>(e)) != taken_.end())
        continue;
      best = static_cast<int>(e);
    }
    return best;
  }

  std::vector<int64_t> load_;
  std::vector<int16_t> taken_;  // by the row
  int64_t capacity_ = 0;
};

}  // namespace

LoadSums ExpertLoads(const LayerColumns& layer, const Batches& batches) {
  LoadSums sums;
  std::vector<int64_t> load(static_cast<size_t>(layer.n_experts));
  for (int64_t batch = 0; batch < batches.count(); ++batch) {
    ThrowIfCancelled();
    CountExperts(layer, batches, batch, load);
    AddImbalance(load, sums);
  }
  return sums;
}

LoadSums GpuLoads(const LayerColumns& layer, const Batches& batches, std::span<const int> placement,
                  const Cluster& cluster) {
  LoadSums sums;
  Copies copies(placement, cluster, layer.n_experts);
  std::vector<int64_t> load(static_cast<size_t>(cluster.n_gpus));
  for (int64_t batch = 0; batch < batches.count(); ++batch) {
    ThrowIfCancelled();
    std::fill(load.begin(), load.end(), 0);
    for (int64_t j = 0; j < batches.batch; ++j) {
      const int home = static_cast<int>(j * cluster.n_gpus / batches.batch);
      for (int16_t expert : ExpertsOf(layer, batches.Row(batch, j))) {
        if (expert < 0) continue;
        const int gpu = copies.NextGpu(expert);
        ++load[static_cast<size_t>(gpu)];
        sums.leave_gpu += gpu != home;
        sums.leave_node += cluster.NodeOfGpu(gpu) != cluster.NodeOfGpu(home);
      }
    }
    AddImbalance(load, sums);
  }
  return sums;
}

RefusedSums RefusedByCapacity(const LayerColumns& layer, const Batches& batches, double factor) {
  RefusedSums sums;
  std::vector<int64_t> load(static_cast<size_t>(layer.n_experts));
  LimitedExperts limited(layer.n_experts);
  for (int64_t batch = 0; batch < batches.count(); ++batch) {
    ThrowIfCancelled();
    CountExperts(layer, batches, batch, load);
    const int64_t all = std::accumulate(load.begin(), load.end(), int64_t{0});
    const auto capacity =
        static_cast<int64_t>(std::ceil(factor * static_cast<double>(all) / layer.n_experts));
    sums.assignments += all;
    for (int64_t n : load) sums.dropped += std::max<int64_t>(0, n - capacity);
    limited.Begin(capacity);
    for (int64_t j = 0; j < batches.batch; ++j) {
      limited.Assign(ExpertsOf(layer, batches.Row(batch, j)), sums);
    }
  }
  return sums;
}

}  // namespace moescope::study
