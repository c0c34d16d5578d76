// simulate skip: what dropping the last expert of tokens that hardly weigh it saves.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/cli/simulations/simulation.h"
#include "study/figures/skip_figure.h"
#include "study/simulate/skip.h"

namespace moescope::cli {

FigureFunction AddSimulateSkip(CLI::App& app) {
  auto text = std::make_shared<std::string>("auto");
  app.add_option("--beta", *text,
                 "Drop below this share of the first weight; auto: the layer's median ratio; or "
                 "several as auto,0.25,0.5")
      ->capture_default_str();
  return [text](FigureSession& session) -> Figure {
    const auto betas = study::ParseBetas(*text);
    const auto layers = session.options.layers.empty() ? session.AllLayers() : session.Layers();
    const auto cells = study::SkippingTable(session.run, *session.database, session.rows, layers,
                                            betas, session.options.bootstrap, session.pool);
    return {study::SkipFigure(cells), study::SkipText(cells, session.style)};
  };
}

}  // namespace moescope::cli
