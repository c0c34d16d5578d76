// Domains: how differently the data sets of a run are routed.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/figures/domains_figure.h"

namespace moescope::cli {

FigureFunction AddDomains(CLI::App& app) {
  auto options = std::make_shared<study::DomainsOptions>();
  app.add_option("--permutations", options->n_permutations, "Permutations of labels over units")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("--splits", options->n_splits, "Splits of a data set's units in halves")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const study::Domains domains = study::DomainsTable(session.run, *session.database, session.rows,
                                                       session.Layers(), *options, session.pool);
    return {study::DomainsFigure(domains), study::DomainsText(domains, session.style)};
  };
}

}  // namespace moescope::cli
