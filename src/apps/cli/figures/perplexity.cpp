// Perplexity by data set.
#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddPerplexity(CLI::App&) {
  return [](FigureSession& session) -> Figure {
    const auto rows = study::PerplexityTable(session.run, *session.database,
                                             session.options.bootstrap, session.pool);
    return {study::PerplexityFigure(rows), study::PerplexityText(rows, session.style)};
  };
}

}  // namespace moescope::cli
