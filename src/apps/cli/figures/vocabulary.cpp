// Vocabulary specialisation: how far the token decides its experts.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/figures/vocabulary_figure.h"

namespace moescope::cli {

FigureFunction AddVocabulary(CLI::App& app) {
  auto options = std::make_shared<study::VocabularyOptions>();
  app.add_option("--min-count", options->min_count, "only ids seen at least this often")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    options->bootstrap = session.options.bootstrap;
    const auto cells = study::VocabularyTable(session.run, *session.database, session.rows,
                                              session.Layers(), *options, session.pool);
    return {study::VocabularyFigure(cells, options->min_count),
            study::VocabularyText(cells, options->min_count, session.style)};
  };
}

}  // namespace moescope::cli
