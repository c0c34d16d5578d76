// Table 5 and figure 10: repetition between tokens at a distance, beside its nulls, in cells, over
// layers and over distances.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/figures/repetition_curves.h"

namespace moescope::cli {

namespace {

void AddDifferingTokens(CLI::App& app, study::RepetitionOptions& options) {
  app.add_flag("--differing-tokens", options.differing_tokens,
               "only pairs whose two tokens differ");
}

std::shared_ptr<study::RepetitionOptions> AddPairOptions(CLI::App& app) {
  auto options = std::make_shared<study::RepetitionOptions>();
  app.add_option("--lag", options->lag, "distance of the two tokens")
      ->check(CLI::Range(1, study::kMaxLag))
      ->capture_default_str();
  AddDifferingTokens(app, *options);
  return options;
}

}  // namespace

FigureFunction AddRepetition(CLI::App& app) {
  return [options = AddPairOptions(app)](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto cells = study::RepetitionTable(session.run, *session.database, session.rows,
                                              session.Layers(), *options, session.pool);
    return {study::RepetitionFigure(cells, options->differing_tokens),
            study::RepetitionText(cells, session.style)};
  };
}

FigureFunction AddRepetitionByLayer(CLI::App& app) {
  app.get_option("--layers")->description("Layers: 0,3 or all (the default)");
  return [options = AddPairOptions(app)](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto layers = session.options.layers.empty() ? session.AllLayers() : session.Layers();
    const auto cells = study::RepetitionTable(session.run, *session.database, session.rows, layers,
                                              *options, session.pool);
    Figure figure = {study::RepetitionFigure(cells, options->differing_tokens),
                     study::RepetitionByLayerText(cells, session.style)};
    figure.table.figure = "10";
    return figure;
  };
}

FigureFunction AddRepetitionByLag(CLI::App& app) {
  auto options = std::make_shared<study::RepetitionOptions>();
  auto lags = std::make_shared<std::string>("1,2,4,8,16,32,64");
  app.add_option("--lags", *lags, "distances of the two tokens, as 1,2,4 or 1-64")
      ->capture_default_str();
  AddDifferingTokens(app, *options);
  return [options, lags](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto cells =
        study::RepetitionLagTable(session.run, *session.database, session.rows, session.Layers(),
                                  study::ParseLags(*lags), *options, session.pool);
    return {study::RepetitionByLagFigure(cells, options->differing_tokens),
            study::RepetitionByLagText(cells, session.style)};
  };
}

}  // namespace moescope::cli
