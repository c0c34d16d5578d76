// Whether indentation goes to one expert.
#include "study/figures/indentation_figure.h"

#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddIndentation(CLI::App&) {
  return [](FigureSession& session) -> Figure {
    const auto cells =
        study::IndentationTable(session.run, *session.database, session.rows, session.Layers(),
                                session.options.bootstrap, session.pool);
    return {study::IndentationFigure(cells), study::IndentationText(cells, session.style)};
  };
}

}  // namespace moescope::cli
