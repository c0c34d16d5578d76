// moescope simulate WHAT RUN: what a run's routes would mean for a cache, for several devices, for
// doing less work.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/simulations/simulation.h"
#include "study/report/chart.h"

namespace moescope::cli {
namespace {

constexpr const char* kThreeLayers = "first, middle and last";

// The table of simulations, in the order of the help page.
constexpr Simulation kSimulations[] = {
    {"cache", "Hits of a cache of experts, by policy and size", kThreeLayers, AddSimulateCache},
    {"placement", "Experts spread over GPUs: balance, capacity, communication", kThreeLayers,
     AddSimulatePlacement, false},
    {"esft", "Which experts to fine-tune for the run's text", "all", AddSimulateEsft, false},
    {"skip", "Work saved by dropping last experts of little weight", "all", AddSimulateSkip},
    {"cost", "Bytes, arithmetic and tokens/s over experts and batch", "all", AddSimulateCost,
     false},
};

}  // namespace

std::function<void()> AddSimulate(CLI::App& app) {
  auto options = std::make_shared<FigureOptions>();
  auto chosen = std::make_shared<std::function<void()>>();
  app.require_subcommand(1);
  for (const Simulation& simulation : kSimulations) {
    CLI::App* sub = app.add_subcommand(simulation.name, simulation.summary);
    sub->add_option("run", options->run, "Run directory")->required();
    AddFigureOptions(*sub, *options, simulation.default_layers);
    const bool has_intervals = simulation.has_intervals;
    if (!has_intervals) sub->remove_option(sub->get_option("--samples"));
    FigureFunction simulate = simulation.add(*sub);
    if (study::HasChart(simulation.name)) AddPictureOptions(*sub, options->pictures);
    const char* heading = simulation.summary;
    sub->callback([=] {
      if (!has_intervals) options->bootstrap.n_samples = 0;
      *chosen = [=] {
        FigureSession session(*options, true);
        PrintFigure(session, simulate(session), heading);
      };
    });
  }
  return [chosen] { (*chosen)(); };
}

}  // namespace moescope::cli
