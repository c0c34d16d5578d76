// The card of one expert.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/analysis/expert_card.h"
#include "study/figures/card_figure.h"

namespace moescope::cli {

FigureFunction AddCard(CLI::App& app) {
  struct Options {
    int layer = -1, expert = -1;
    study::ExpertCardOptions card;
  };
  auto options = std::make_shared<Options>();
  app.add_option("--layer", options->layer, "the layer")->required();
  app.add_option("--expert", options->expert, "the expert")->required();
  app.add_option("--contexts", options->card.n_contexts, "random contexts, and as many by weight")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app.add_option("--limit", options->card.n_tokens, "tokens by lift, and as many by count")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    study::ExpertCardOptions card = options->card;
    card.bootstrap = session.options.bootstrap;
    const auto result = study::MakeExpertCard(session.run, *session.database, session.rows,
                                              options->layer, options->expert, card, session.pool);
    return {study::CardFigure(result), study::CardText(result, session.style)};
  };
}

}  // namespace moescope::cli
