// Which tokens go to an expert, which experts saw a token.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "base/error.h"

namespace moescope::cli {
namespace {

void AddViewOptions(CLI::App& app, study::TokenViewOptions& view) {
  view.limit = 20;
  app.add_option("--dataset", view.dataset, "only this data set");
  app.add_flag("--first-choice", view.first_choice_only, "only first choices count");
}

}  // namespace

FigureFunction AddExpertTokens(CLI::App& app) {
  struct Options {
    int layer = -1, expert = -1;
    std::string order = "lift";
    study::TokenViewOptions view;
  };
  auto options = std::make_shared<Options>();
  app.add_option("--layer", options->layer, "the layer")->required();
  app.add_option("--expert", options->expert, "the expert")->required();
  app.add_option("--order", options->order, "by lift, count, or count above expectation")
      ->check(CLI::IsMember({"lift", "count", "excess"}))
      ->capture_default_str();
  AddViewOptions(app, options->view);
  app.add_option("--limit", options->view.limit, "rows")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    const auto order = options->order == "count"    ? study::ExpertTokenOrder::kCount
                       : options->order == "excess" ? study::ExpertTokenOrder::kExcess
                                                    : study::ExpertTokenOrder::kLift;
    const auto tokens = study::TokensOfExpert(session.run, *session.database, options->layer,
                                              options->expert, order, options->view);
    return {study::ExpertTokensFigure(options->layer, options->expert, tokens),
            study::ExpertTokensText(options->layer, options->expert, tokens, session.style)};
  };
}

FigureFunction AddTokenExperts(CLI::App& app) {
  struct Options {
    std::string text;
    study::TokenViewOptions view;
  };
  auto options = std::make_shared<Options>();
  app.add_option("text", options->text, "the token's text, or #ID")->required();
  AddViewOptions(app, options->view);
  return [options](FigureSession& session) -> Figure {
    const auto experts = study::ExpertsOfToken(session.run, *session.database, options->text,
                                               session.Layers(), options->view);
    return {study::TokenExpertsFigure(experts), study::TokenExpertsText(experts, session.style)};
  };
}

}  // namespace moescope::cli
