// Whether the pieces of words go to one expert.
#include "study/figures/words_figure.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/figures/figure.h"

namespace moescope::cli {

FigureFunction AddWords(CLI::App& app) {
  auto words = std::make_shared<std::vector<std::string>>();
  app.add_option("--words", *words, "these words, as self,Question: which expert gets them")
      ->delimiter(',')
      ->allow_extra_args(false);
  return [words](FigureSession& session) -> Figure {
    if (words->empty()) {
      const auto cells =
          study::WordTable(session.run, *session.database, session.rows, session.Layers(),
                           session.options.bootstrap, session.pool);
      return {study::WordsFigure(cells), study::WordsText(cells, session.style)};
    }
    const auto cells =
        study::WordExpertTable(session.run, *session.database, session.rows, session.Layers(),
                               *words, session.options.bootstrap, session.pool);
    return {study::WordExpertsFigure(cells), study::WordExpertsText(cells, session.style)};
  };
}

}  // namespace moescope::cli
