// One row of the table of simulations. Each lives in a file of its own: it declares its options on
// a CLI11 subcommand of `simulate` and hands back what to do once they are parsed.
#pragma once

#include <functional>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

struct Simulation {
  const char* name;
  const char* summary;
  const char* default_layers;
  FigureFunction (*add)(CLI::App& app);
  bool has_intervals = true;  // false: nothing is resampled
};

// Listed in simulate.cpp in the order of the help page.
FigureFunction AddSimulateCache(CLI::App& app);
FigureFunction AddSimulatePlacement(CLI::App& app);
FigureFunction AddSimulateEsft(CLI::App& app);
FigureFunction AddSimulateSkip(CLI::App& app);
FigureFunction AddSimulateCost(CLI::App& app);

}  // namespace moescope::cli
