// Explained: token against domain, what a router's first choices follow from.
#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"
#include "study/figures/explained_figure.h"

namespace moescope::cli {

FigureFunction AddExplained(CLI::App&) {
  return [](FigureSession& session) -> Figure {
    const auto shares =
        study::ExplainedTable(session.run, *session.database, session.rows, session.Layers(),
                              session.options.bootstrap, session.pool);
    return {study::ExplainedFigure(shares), study::ExplainedText(shares, session.style)};
  };
}

}  // namespace moescope::cli
