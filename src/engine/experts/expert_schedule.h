// Which experts stay in memory and which are read next, while a model runs through its layers.
// Two ways to run: a *scan* (sweep, prompt) needs nearly all experts of every layer in turn, so a
// fixed set stays and the rest streams through; *decoding* needs a few, so a cache policy decides.
// Rules and counts: docs/expert-streaming.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/experts/expert_cache.h"
#include "engine/experts/transition_table.h"
#include "routing/cache_policy.h"

namespace moescope::engine {

// Which forecast is read ahead while decoding; both are always measured.
enum class ExpertForecast { kNone, kRouter, kTransitions };

struct ExpertScheduleOptions {
  routing::EvictionRule rule = routing::EvictionRule::kLfu;  // kLru, kLfu or kFifo
  ExpertForecast forecast = ExpertForecast::kRouter;
};

// Since the model was opened.
struct ExpertStats {
  // Of decoding: what the policy says, so equal to a simulation of the same routes.
  int64_t lookups = 0, hits = 0;
  // Misses whose bytes were there or on their way nevertheless: forecast, or not yet overwritten.
  int64_t read_ahead = 0;
  // Of scans: experts used, and those that were in memory when their turn came to be read.
  int64_t scan_lookups = 0, scan_hits = 0;
  // Of decoding: experts used for which there was a forecast, and those it had named.
  int64_t router_expected = 0, router_found = 0;
  int64_t transitions_expected = 0, transitions_found = 0;
  uint64_t bytes_read = 0;  // of experts
};

// An expert of the layer that begins, and how many tasks will work with it.
struct ExpertUse {
  int expert = 0;
  int n_tasks = 0;
};

// One model runs one step at a time. Begin... and Forecast are called by the thread that runs it,
// Wait and Done by its workers.
class ExpertSchedule {
 public:
  // Requires: the cache has at least two slots or as many as the layout has cells.
  ExpertSchedule(ExpertCache& cache, const ExpertScheduleOptions& options);

  // Before the layers of a step. Forgets what an interrupted step has left.
  void BeginStep(bool decodes);

  // The experts of `layer` in the order of their use; reading begins. `choices`: those of all rows,
  // [n_rows, experts_per_token], negative where dropped. `ahead`: the next layer will use nearly
  // all its experts, so they are read as soon as slots are free.
  void BeginLayer(int layer, std::span<const ExpertUse> uses, std::span<const int16_t> choices,
                  int experts_per_token, bool ahead);
  // What the rows will choose in the layer after the one that began, by the router: as `choices`.
  void Forecast(std::span<const int16_t> choices);
  // Of the layer's experts those that stay have slots of their own; so many of the others may be
  // held at a time, or they would wait for each other.
  bool Stays(int expert) const { return StaysCell(cache_.layout().Cell(layer_, expert)); }
  int MostPassing() const { return std::max(1, cache_.n_slots() - n_staying()); }

  // Blocks until an expert of the layer is in memory and returns its slot, valid until the last of
  // its tasks is done. Throws Error as ExpertCache::Acquire; kCancelled after Stop.
  const std::byte* Wait(int expert);
  void Done(int expert);
  // Ends all waits: a task has failed.
  void Stop();

  ExpertStats stats() const;
  ExpertCache& cache() { return cache_; }
  const ExpertLayout& layout() const { return cache_.layout(); }
  const ExpertScheduleOptions& options() const { return options_; }
  // Slots besides those of experts that stay.
  int n_spare() const { return n_spare_; }
  const routing::CachePolicy& policy() const { return policy_; }

 private:
  struct Held {
    ExpertLease lease;
    int n_tasks = 0;
    bool was_present = false;
  };
  Held& HeldOf(int cell) {
    const int n = cache_.layout().n_experts();
    return held_[static_cast<size_t>(cell / n % 2 * n + cell % n)];
  }
  void ChooseScanSet();
  void TouchPolicy(std::span<const int16_t> choices);
  void CompareForecasts(std::span<const int16_t> choices);
  void Prefetch(std::span<const int16_t> experts);
  bool StaysCell(int cell) const {
    return policy_.IsResident(cell) || in_scan_set_[static_cast<size_t>(cell)] != 0;
  }
  int n_staying() const { return static_cast<int>(policy_.resident().size()) + scan_set_size_; }
  void LearnAndForecast(std::span<const int16_t> choices);
  void Pump();  // requires the mutex

  ExpertCache& cache_;
  const ExpertScheduleOptions options_;
  const int n_spare_;
  routing::CachePolicy policy_;
  TransitionTable transitions_;
  bool decodes_ = false;
  int layer_ = -1;  // that began last in this step
  int experts_per_token_ = 0;
  std::vector<uint8_t> in_scan_set_;  // [n_cells]
  int scan_set_size_ = 0;
  std::vector<int32_t> row_;      // cells that the layer uses, in the order of their choice
  std::vector<uint8_t> in_row_;   // [n_experts]
  std::vector<int16_t> choices_;  // of the layer
  std::vector<int16_t> by_router_, by_transitions_;  // forecasts for the next layer
  std::vector<int> prefetched_;                      // cells
  std::atomic<bool> stopped_{false};

  mutable std::mutex mutex_;  // guards what follows
  ExpertStats stats_;
  std::vector<Held> held_;  // [2, n_experts] of this layer and the next
  std::vector<int> queue_;  // cells in the order in which they get slots
  size_t n_reserved_ = 0;   // of the queue
  size_t n_of_layer_ = 0;   // of the queue; the rest is of the next layer
};

}  // namespace moescope::engine
