#include "study/simulate/expert_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

// Items dealt to packs of equally many: for each pack its items in the order they came.
using Packs = std::vector<std::vector<int>>;

// Largest first, each to the lightest pack that has room.
Packs Pack(std::span<const double> weight, int n_packs) {
  const size_t room = weight.size() / static_cast<size_t>(n_packs);
  std::vector<int> order(weight.size());
  std::iota(order.begin(), order.end(), 0);
  Packs packs(static_cast<size_t>(n_packs));
  if (room == 1) {
    for (int item : order) packs[static_cast<size_t>(item)] = {item};
    return packs;
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return weight[static_cast<size_t>(a)] > weight[static_cast<size_t>(b)];
  });
  std::vector<double> filled(packs.size());
  for (int item : order) {
    size_t lightest = packs.size();
    for (size_t pack = 0; pack < packs.size(); ++pack) {
      if (packs[pack].size() == room) continue;
      if (lightest == packs.size() || filled[pack] < filled[lightest]) lightest = pack;
    }
    packs[lightest].push_back(item);
    filled[lightest] += weight[static_cast<size_t>(item)];
  }
  return packs;
}

// Items once each, then further copies of whichever has the largest weight a copy.
std::vector<int> Replicate(std::span<const double> weight, size_t n_copies) {
  std::vector<int> items(weight.size());
  std::iota(items.begin(), items.end(), 0);
  std::vector<int> copies(weight.size(), 1);
  while (items.size() < n_copies) {
    size_t busiest = 0;
    for (size_t item = 1; item < weight.size(); ++item) {
      if (weight[item] / copies[item] > weight[busiest] / copies[busiest]) busiest = item;
    }
    ++copies[busiest];
    items.push_back(static_cast<int>(busiest));
  }
  return items;
}

// Appends the experts at the places of one node.
void PlaceInNode(std::span<const int> experts, std::span<const double> load, int n_places,
                 int n_gpus, std::vector<int>& placement) {
  std::vector<double> weight;
  for (int expert : experts) weight.push_back(load[static_cast<size_t>(expert)]);
  const std::vector<int> items = Replicate(weight, static_cast<size_t>(n_places));
  std::vector<int> copies(weight.size());
  for (int item : items) ++copies[static_cast<size_t>(item)];
  std::vector<double> weight_of_copy;
  for (int item : items) {
    weight_of_copy.push_back(weight[static_cast<size_t>(item)] / copies[static_cast<size_t>(item)]);
  }
  for (const auto& gpu : Pack(weight_of_copy, n_gpus)) {
    for (int copy : gpu) {
      placement.push_back(experts[static_cast<size_t>(items[static_cast<size_t>(copy)])]);
    }
  }
}

void CheckDivides(int part, const char* part_name, int whole, const char* whole_name) {
  if (part >= 1 && whole >= 1 && whole % part == 0) return;
  throw Error(ErrorKind::kBadInput, fmt::format("{} {}: expected a number that divides {} {}",
                                                part_name, part, whole_name, whole));
}

void Shuffle(std::vector<int>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.Below(i)]);
}

}  // namespace

void CheckCluster(const Cluster& cluster, int n_experts) {
  CheckDivides(cluster.n_nodes, "--nodes", cluster.n_gpus, "--gpus");
  CheckDivides(cluster.n_gpus, "--gpus", cluster.n_replicas, "--replicas");
  CheckDivides(cluster.n_groups, "--groups", n_experts, "the experts of a layer,");
  if (cluster.n_replicas < n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--replicas {}: expected at least {}, a place for each expert",
                            cluster.n_replicas, n_experts));
  }
}

std::vector<int> PlaceBalanced(std::span<const double> load, const Cluster& given) {
  Cluster cluster = given;
  if (cluster.n_groups % cluster.n_nodes != 0) cluster.n_groups = cluster.n_nodes = 1;
  const size_t group_size = load.size() / static_cast<size_t>(cluster.n_groups);
  std::vector<double> group_load(static_cast<size_t>(cluster.n_groups));
  for (size_t e = 0; e < load.size(); ++e) group_load[e / group_size] += load[e];
  std::vector<int> placement;
  for (const auto& groups : Pack(group_load, cluster.n_nodes)) {
    std::vector<int> experts;
    for (int group : groups) {
      for (size_t e = 0; e < group_size; ++e) {
        experts.push_back(group * static_cast<int>(group_size) + static_cast<int>(e));
      }
    }
    PlaceInNode(experts, load, cluster.n_replicas / cluster.n_nodes,
                cluster.n_gpus / cluster.n_nodes, placement);
  }
  return placement;
}

std::vector<int> PlaceInOrder(int n_experts, const Cluster& cluster) {
  std::vector<int> placement;
  for (int place = 0; place < cluster.n_replicas; ++place) placement.push_back(place % n_experts);
  return placement;
}

std::vector<int> PlaceAtRandom(int n_experts, const Cluster& cluster, uint64_t key) {
  Random random(key);
  std::vector<int> placement = PlaceInOrder(n_experts, cluster);
  const size_t whole_rounds = placement.size() - placement.size() % static_cast<size_t>(n_experts);
  std::vector<int> experts(placement.begin(), placement.begin() + n_experts);
  Shuffle(experts, random);
  std::copy_n(experts.begin(), placement.size() - whole_rounds,
              placement.begin() + static_cast<int64_t>(whole_rounds));
  Shuffle(placement, random);
  return placement;
}

std::vector<int> CountCopies(std::span<const int> placement, int n_experts) {
  std::vector<int> copies(static_cast<size_t>(n_experts));
  for (int expert : placement) ++copies[static_cast<size_t>(expert)];
  return copies;
}

double PlannedImbalance(std::span<const int> placement, std::span<const double> load,
                        const Cluster& cluster) {
  const auto copies = CountCopies(placement, static_cast<int>(load.size()));
  std::vector<double> gpu(static_cast<size_t>(cluster.n_gpus));
  for (size_t place = 0; place < placement.size(); ++place) {
    const size_t expert = static_cast<size_t>(placement[place]);
    gpu[static_cast<size_t>(cluster.GpuOfPlace(static_cast<int>(place)))] +=
        load[expert] / copies[expert];
  }
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / cluster.n_gpus;
  return *std::max_element(gpu.begin(), gpu.end()) / mean;
}

}  // namespace moescope::study
