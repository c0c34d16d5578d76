// Claims: what the Mixtral paper and its readers said of experts, judged on a run.
#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"
#include "study/figures/claims_figure.h"

namespace moescope::cli {

FigureFunction AddClaims(CLI::App&) {
  return [](FigureSession& session) -> Figure {
    const std::vector<int> layers = session.Layers();
    study::RepetitionOptions options;
    options.bootstrap = session.options.bootstrap;
    const study::ClaimEvidence evidence =
        study::GatherEvidence(session.run, *session.database, session.rows, layers,
                              study::RepetitionTable(session.run, *session.database, session.rows,
                                                     layers, options, session.pool),
                              session.options.bootstrap, session.pool);
    const std::vector<study::Claim> claims = study::JudgeClaims(evidence);
    return {study::ClaimsFigure(claims), study::ClaimsText(claims, session.style)};
  };
}

}  // namespace moescope::cli
