// How much the first choices of two layers say about each other.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/figures/cross_layer_figure.h"

namespace moescope::cli {

FigureFunction AddCrossLayer(CLI::App& app) {
  app.get_option("--layers")
      ->description(
          "Pairs of layers as 0:7,7:15, or layers as 0,7,15 or all for all their pairs; default "
          "neighbours, and first, middle and last");
  auto options = std::make_shared<study::CrossLayerOptions>();
  app.add_option("--shifts", options->n_shifts, "shifts behind the null")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto pairs = study::ParseLayerPairs(session.options.layers, session.AllLayers());
    const auto cells = study::CrossLayerTable(session.run, *session.database, session.rows, pairs,
                                              *options, session.pool);
    return {study::CrossLayerFigure(cells, *options),
            study::CrossLayerText(cells, *options, session.style)};
  };
}

}  // namespace moescope::cli
