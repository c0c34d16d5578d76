// Findings: what the run shows, in sentences with null and interval.
#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddFindings(CLI::App&) {
  return [](FigureSession& session) -> Figure {
    study::FindingsOptions options;
    options.bootstrap = session.options.bootstrap;
    const study::Findings findings =
        study::ComputeFindings(session.run, *session.database, session.rows, options, session.pool);
    return {study::FindingsFigure(findings), study::FindingsText(findings, session.style)};
  };
}

}  // namespace moescope::cli
