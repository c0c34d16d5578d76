// Which experts are chosen together within a layer.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/figures/coactivation_figure.h"

namespace moescope::cli {

FigureFunction AddCoactivation(CLI::App& app) {
  auto options = std::make_shared<study::CoactivationOptions>();
  app.add_flag("--as-published", options->as_published,
               "count only choices next to each other in rank");
  return [options](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto cells = study::CoactivationTable(session.run, *session.database, session.rows,
                                                session.Layers(), *options, session.pool);
    return {study::CoactivationFigure(cells, options->as_published),
            study::CoactivationText(cells, options->as_published, session.style)};
  };
}

}  // namespace moescope::cli
