// Table 5: repetition between tokens at a distance, beside its nulls.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddRepetition(CLI::App& app) {
  auto options = std::make_shared<study::RepetitionOptions>();
  app.add_option("--lag", options->lag, "distance of the two tokens")
      ->check(CLI::Range(1, study::kMaxLag))
      ->capture_default_str();
  app.add_flag("--differing-tokens", options->differing_tokens,
               "only pairs whose two tokens differ");
  return [options](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto cells = study::RepetitionTable(session.run, *session.database, session.rows,
                                              session.Layers(), *options, session.pool);
    return {study::RepetitionFigure(cells, options->differing_tokens),
            study::RepetitionText(cells, session.style)};
  };
}

}  // namespace moescope::cli
