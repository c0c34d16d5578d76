// simulate cache: hits of a cache of experts by policy and size.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "apps/cli/simulations/simulation.h"
#include "base/error.h"
#include "base/progress.h"
#include "study/figures/cache_figure.h"
#include "study/simulate/cache.h"
#include "study/simulate/prefetch.h"

namespace moescope::cli {
namespace {

struct CacheArguments {
  std::string policies = "all", sizes, budget = "layer", order = "stream";
  int n_prefetched = -1;  // -1: as many as a token needs
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

// What is fetched ahead from the layer before; nothing at the first one.
std::vector<study::PrefetchCell> SimulatePrefetch(FigureSession& session,
                                                  const study::LayerColumns& layer,
                                                  const study::PrefetchOptions& options) {
  const std::vector<int> numbers = session.AllLayers();
  const auto at = std::find(numbers.begin(), numbers.end(), layer.layer);
  if (options.n_prefetched == 0 || at == numbers.begin()) return {};
  const auto before = study::LoadLayer(session.run, *session.database, session.rows, at[-1]);
  return study::SimulatePrefetch(session.rows, before, layer, options);
}

std::vector<study::CacheCell> SimulateByLayer(FigureSession& session,
                                              const CacheArguments& arguments,
                                              study::CacheOptions& options,
                                              std::vector<study::PrefetchCell>& prefetch) {
  const store::RunDescription& description = session.run.description();
  options.sizes = study::ParseCacheSizes(arguments.sizes, description.n_experts);
  study::PrefetchOptions ahead = {arguments.n_prefetched, options.sizes, options.bootstrap.seed};
  if (ahead.n_prefetched < 0) ahead.n_prefetched = description.experts_per_token;
  if (ahead.n_prefetched > description.n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--prefetch {}: expected at most {}, the experts of a layer",
                            ahead.n_prefetched, description.n_experts));
  }
  const std::vector<int> numbers = session.Layers();
  ProgressBar progress("simulating", numbers.size(), "layers");
  std::vector<study::CacheCell> cells;
  for (size_t l = 0; l < numbers.size(); ++l) {
    progress.Update(l);
    const study::LayerColumns columns =
        study::LoadLayer(session.run, *session.database, session.rows, numbers[l]);
    auto more = study::SimulateCaches(session.rows, {&columns, 1}, options, session.pool);
    cells.insert(cells.end(), more.begin(), more.end());
    auto fetched = SimulatePrefetch(session, columns, ahead);
    prefetch.insert(prefetch.end(), fetched.begin(), fetched.end());
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
  app.add_option("--prefetch", arguments->n_prefetched,
                 "Experts fetched ahead for each token (default: as many as it uses); 0: none")
      ->check(CLI::Range(0, 4096));
  return [arguments](FigureSession& session) -> Figure {
    study::CacheOptions options;
    options.rules = study::ParsePolicies(arguments->policies);
    const bool is_global = arguments->budget == "global";
    options.budget = is_global ? study::CacheBudget::kGlobal : study::CacheBudget::kLayer;
    options.order =
        arguments->order == "stream" ? study::CacheOrder::kStream : study::CacheOrder::kSequences;
    options.bootstrap = session.options.bootstrap;
    if (is_global && arguments->n_prefetched > 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--prefetch {}: expected --budget layer beside it, found global",
                              arguments->n_prefetched));
    }
    std::vector<study::PrefetchCell> prefetch;
    const auto cells = is_global ? SimulateGlobal(session, arguments->sizes, options)
                                 : SimulateByLayer(session, *arguments, options, prefetch);
    return {study::CacheFigure(cells, prefetch, options),
            study::CacheText(cells, prefetch, options, session.style)};
  };
}

}  // namespace moescope::cli
