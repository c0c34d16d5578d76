// simulate placement: experts spread over GPUs, and the balance of their batches.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/cli/simulations/simulation.h"
#include "base/progress.h"
#include "study/analysis/word_routes.h"
#include "study/figures/placement_figure.h"
#include "study/simulate/placement.h"

namespace moescope::cli {
namespace {

struct PlacementArguments {
  study::PlacementOptions options;
  std::string capacities = "1,1.25,1.5,2", dataset;
};

void AddClusterOptions(CLI::App& app, study::Cluster& cluster) {
  app.add_option("--gpus", cluster.n_gpus, "GPUs of all nodes")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--nodes", cluster.n_nodes, "Nodes that the GPUs are in")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--replicas", cluster.n_replicas,
                 "Experts a layer on all GPUs, copies counted (default: enough for all)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--groups", cluster.n_groups, "Groups of experts that stay on one node")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
}

}  // namespace

FigureFunction AddSimulatePlacement(CLI::App& app) {
  auto arguments = std::make_shared<PlacementArguments>();
  AddClusterOptions(app, arguments->options.cluster);
  app.add_option("--batch", arguments->options.batch, "Tokens a batch")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--capacity", arguments->capacities, "Capacity factors, as 1,1.25")
      ->capture_default_str();
  app.add_option("--random", arguments->options.n_random, "Random placements to compare with")
      ->check(CLI::Range(10, 10000))
      ->capture_default_str();
  app.add_option("--dataset", arguments->dataset, "Only this data set");
  return [arguments](FigureSession& session) -> Figure {
    study::PlacementOptions options = arguments->options;
    options.capacities = study::ParseCapacities(arguments->capacities);
    options.dataset = study::FindDataset(session.rows, arguments->dataset);
    options.seed = session.options.bootstrap.seed;
    const int n_experts = session.run.description().n_experts;
    study::Cluster& cluster = options.cluster;
    if (cluster.n_replicas == 0) {
      cluster.n_replicas = (n_experts + cluster.n_gpus - 1) / cluster.n_gpus * cluster.n_gpus;
    }
    study::CheckCluster(cluster, n_experts);
    const std::vector<int> layers = session.Layers();
    ProgressBar progress("simulating", layers.size(), "layers");
    study::PlacementResult result;
    for (size_t l = 0; l < layers.size(); ++l) {
      progress.Update(l);
      const auto layer = study::LoadLayer(session.run, *session.database, session.rows, layers[l]);
      study::SimulatePlacement(session.rows, layer, options, session.pool, result);
    }
    return {study::PlacementFigure(result, options),
            study::PlacementText(result, options, session.style)};
  };
}

}  // namespace moescope::cli
