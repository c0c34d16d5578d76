// simulate cache: hits of a cache of experts by policy and size.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/cli/simulations/simulation.h"
#include "base/progress.h"
#include "study/figures/cache_figure.h"
#include "study/simulate/cache.h"

namespace moescope::cli {
namespace {

struct CacheArguments {
  std::string policies = "all", sizes, budget = "layer", order = "stream";
};

// One cache for all layers, sized by default as those of `budget layer` together.
std::vector<study::CacheCell> SimulateGlobal(FigureSession& session, const std::string& sizes,
                                             study::CacheOptions& options) {
  const int n_experts = session.run.description().n_experts;
  const auto numbers = session.options.layers.empty() ? session.AllLayers() : session.Layers();
  const int n_layers = static_cast<int>(numbers.size());
  options.sizes = study::ParseCacheSizes(sizes, sizes.empty() ? n_experts : n_experts * n_layers);
  if (sizes.empty()) {
    for (int& size : options.sizes) size *= n_layers;
  }
  std::vector<study::LayerColumns> layers;
  for (int layer : numbers) {
    layers.push_back(study::LoadLayer(session.run, *session.database, session.rows, layer));
  }
  return study::SimulateCaches(session.rows, layers, options, session.pool);
}

std::vector<study::CacheCell> SimulateByLayer(FigureSession& session, const std::string& sizes,
                                              study::CacheOptions& options) {
  options.sizes = study::ParseCacheSizes(sizes, session.run.description().n_experts);
  const std::vector<int> numbers = session.Layers();
  ProgressBar progress("simulating", numbers.size(), "layers");
  std::vector<study::CacheCell> cells;
  for (int layer : numbers) {
    progress.Update(static_cast<uint64_t>(&layer - &numbers.front()));
    const study::LayerColumns columns =
        study::LoadLayer(session.run, *session.database, session.rows, layer);
    auto more = study::SimulateCaches(session.rows, {&columns, 1}, options, session.pool);
    cells.insert(cells.end(), more.begin(), more.end());
  }
  return cells;
}

}  // namespace

FigureFunction AddSimulateCache(CLI::App& app) {
  auto arguments = std::make_shared<CacheArguments>();
  app.add_option("--policy", arguments->policies,
                 "lru, lfu, fifo, random, belady, pinned, or several as lru,lfu")
      ->capture_default_str();
  app.add_option("--sizes", arguments->sizes, "Experts that fit, as 1-8 or 1,2,4");
  app.add_option("--budget", arguments->budget, "A cache for each layer, or a global one")
      ->check(CLI::IsMember({"layer", "global"}))
      ->capture_default_str();
  app.add_option("--order", arguments->order,
                 "One stream, or sequences that each begin with an empty cache")
      ->check(CLI::IsMember({"stream", "sequences"}))
      ->capture_default_str();
  return [arguments](FigureSession& session) -> Figure {
    study::CacheOptions options;
    options.rules = study::ParsePolicies(arguments->policies);
    const bool is_global = arguments->budget == "global";
    options.budget = is_global ? study::CacheBudget::kGlobal : study::CacheBudget::kLayer;
    options.order =
        arguments->order == "stream" ? study::CacheOrder::kStream : study::CacheOrder::kSequences;
    options.bootstrap = session.options.bootstrap;
    const auto cells = is_global ? SimulateGlobal(session, arguments->sizes, options)
                                 : SimulateByLayer(session, arguments->sizes, options);
    return {study::CacheFigure(cells, options), study::CacheText(cells, options, session.style)};
  };
}

}  // namespace moescope::cli
