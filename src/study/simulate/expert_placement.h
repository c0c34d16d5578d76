// Which GPU holds which expert: copies of busy experts, and their balanced, plain and random
// places. Source of the balanced one: EPLB, deepseek-ai/EPLB. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moescope::study {

// Devices in nodes, and how many experts with copies they hold together.
struct Cluster {
  int n_gpus = 8;
  int n_nodes = 1;
  int n_replicas = 0;  // places for experts on all GPUs
  int n_groups = 1;    // of experts that a router chooses among

  int ReplicasPerGpu() const { return n_replicas / n_gpus; }
  int GpuOfPlace(int place) const { return place / ReplicasPerGpu(); }
  int NodeOfGpu(int gpu) const { return gpu / (n_gpus / n_nodes); }
};

// Throws Error(kBadInput) naming the option unless every GPU and node gets equally much, every
// expert a place, and every group equally many experts.
void CheckCluster(const Cluster& cluster, int n_experts);

// A placement names the expert at each place, [n_replicas]; places of a GPU are consecutive, GPUs
// of a node too. Requires, for all of these: CheckCluster.

// EPLB: groups are packed to nodes, largest first, each to the lightest node with room; in a node,
// the expert with the largest load a copy gets one more until its places are full; copies are
// packed to GPUs in the same way. Where nodes cannot get equally many groups: one group, one node.
// Ties go to the lowest index. Where each pack takes a single item, items keep their order.
//   load  [n_experts] what each expert is expected to do
std::vector<int> PlaceBalanced(std::span<const double> load, const Cluster& cluster);
// Experts in order, then from the first on again.
std::vector<int> PlaceInOrder(int n_experts, const Cluster& cluster);
// Every expert once, copies of experts drawn without repetition as far as they go, all in random
// places.
std::vector<int> PlaceAtRandom(int n_experts, const Cluster& cluster, uint64_t key);

// Copies of each expert in a placement.
std::vector<int> CountCopies(std::span<const int> placement, int n_experts);
// Load of the busiest GPU over the mean, if copies share their expert's load evenly.
double PlannedImbalance(std::span<const int> placement, std::span<const double> load,
                        const Cluster& cluster);

}  // namespace moescope::study
