// Figure 8: pieces of text, each token on the colour of its first choice.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddRoutedText(CLI::App& app) {
  auto options = std::make_shared<study::RoutedTextOptions>();
  app.add_option("--documents", options->documents, "documents by number, as 0,3")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("-n,--tokens", options->max_tokens, "tokens of each document")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    const auto texts =
        study::LoadRoutedTexts(session.run, *session.database, session.Layers(), *options);
    return {study::RoutedTextFigure(texts),
            study::RoutedTextText(texts, session.run.description().n_experts, session.style)};
  };
}

}  // namespace moescope::cli
