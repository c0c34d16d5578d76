// Figures 7 and 9: which share of a data set goes to each expert.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {
namespace {

FigureFunction AddSharesOf(CLI::App& app, bool by_choice) {
  auto convention = std::make_shared<std::string>("assignments");
  app.add_option("--convention", *convention, "shares of assignments or of tokens")
      ->check(CLI::IsMember({"assignments", "tokens"}))
      ->capture_default_str();
  return [convention, by_choice](FigureSession& session) {
    study::SharesOptions options;
    options.by_choice = by_choice;
    options.bootstrap = session.options.bootstrap;
    if (*convention == "tokens") options.convention = study::ShareConvention::kTokens;
    const auto shares = study::ExpertShareTable(session.run, *session.database, session.rows,
                                                session.Layers(), options, session.pool);
    Figure figure = {study::SharesFigure(shares, options.convention),
                     study::SharesText(shares, session.style)};
    if (by_choice) figure.table.figure = "9";
    return figure;
  };
}

}  // namespace

FigureFunction AddShares(CLI::App& app) {
  return AddSharesOf(app, false);
}

FigureFunction AddSharesByChoice(CLI::App& app) {
  return AddSharesOf(app, true);
}

}  // namespace moescope::cli
