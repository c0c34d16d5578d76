#include "lab/watch_attention.h"

#include <atomic>
#include <mutex>

#include "base/progress.h"
#include "engine/model/sweep.h"
#include "lab/route_watcher.h"

namespace moescope::lab {
namespace {

// Layers come in order, calls of a layer from any thread.
class LayerProgress : public routing::Probe {
 public:
  explicit LayerProgress(int n_layers)
      : bar_("attention", static_cast<uint64_t>(n_layers), "layers") {}

  uint32_t sites() const override { return routing::kSiteAttention; }
  void OnAttention(const routing::AttentionBatch& batch) override {
    if (batch.layer <= layer_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex_);
    if (batch.layer <= layer_.load(std::memory_order_relaxed)) return;
    layer_.store(batch.layer, std::memory_order_relaxed);
    bar_.Update(static_cast<uint64_t>(batch.layer));
  }

 private:
  std::mutex mutex_;
  ProgressBar bar_;
  std::atomic<int> layer_{-1};
};

}  // namespace

WatchedAttention WatchAttention(const engine::Model& model, const std::vector<int32_t>& ids,
                                const WatchOptions& options) {
  const files::ModelConfig& config = model.config();
  const auto n = static_cast<int64_t>(ids.size());
  ThreadPool pool(options.n_threads);
  const uint64_t matrix_bytes =
      options.block > 0 ? AttentionMatricesProbe::Bytes(config, n, options.block) : 0;
  // Throws when it does not fit.
  engine::PlanSweep(config, options.memory, static_cast<int>(n), pool.n_threads(),
                    matrix_bytes / static_cast<uint64_t>(n) + 1);

  WatchedAttention watched;
  HeadFiguresProbe figures(config);
  LayerProgress progress(config.n_layers);
  std::vector<routing::Probe*> probes = {&figures, &progress};
  if (options.rows) {
    const auto& [layer, head, first, last] = *options.rows;
    probes.push_back(&watched.rows.emplace(layer, head, first, last, n));
  }
  if (options.block > 0) {
    probes.push_back(&watched.matrices.emplace(config, n, options.block));
  }
  std::optional<RouteWatcher> routes;
  if (!config.dense()) probes.push_back(&routes.emplace(model.router(), config.n_layers, n));

  engine::Sweep sweep(model, engine::SelectKernels(), pool,
                      {.wave_rows = n, .max_sequence = static_cast<int>(n), .losses = false});
  engine::Wave wave;
  wave.Add(0, 0, ids);
  sweep.Run(wave, probes);
  watched.heads = figures.Figures();
  if (routes) watched.sink_routes = SinkRoutes(*routes, config.n_layers, config.n_experts, n);
  return watched;
}

}  // namespace moescope::lab
