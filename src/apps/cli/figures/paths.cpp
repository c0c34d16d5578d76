// Paths of first choices over a few layers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/cli/figures/figure.h"
#include "study/analysis/paths.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/token_views.h"
#include "study/analysis/word_routes.h"
#include "study/figures/paths_figure.h"

namespace moescope::cli {
namespace {

struct PathOptions {
  std::string token, dataset;
  study::PathsOptions paths;
};

// Rows of the data set and token asked for, and what that is in words.
study::PathRows RowsOf(const PathOptions& options, FigureSession& session, std::string& what) {
  study::PathRows of;
  if (options.token.empty() && options.dataset.empty()) return of;
  of.all = false;
  const int dataset = study::FindDataset(session.rows, options.dataset);
  std::vector<int32_t> ids;
  if (!options.token.empty()) {
    study::RequireTokenIds(session.run);
    ids = study::FindTokens(*session.database, options.token);
    what = fmt::format("token '{}'", options.token);
  }
  if (dataset >= 0) what += (what.empty() ? "" : ", ") + ("data set " + options.dataset);
  for (const study::DocumentRange& document : session.rows.documents) {
    if (dataset >= 0 && document.dataset != dataset) continue;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const bool wanted =
          ids.empty() || std::binary_search(ids.begin(), ids.end(), session.rows.token_id[row]);
      if (wanted) of.of.push_back(static_cast<int32_t>(row));
    }
  }
  return of;
}

}  // namespace

FigureFunction AddPaths(CLI::App& app) {
  auto options = std::make_shared<PathOptions>();
  app.add_option("--token", options->token, "only this token, as in 'figure token'; or #ID");
  app.add_option("--dataset", options->dataset, "only this data set");
  app.add_option("--limit", options->paths.limit, "paths by count, and as many by lift")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--min-count", options->paths.min_count, "occurrences before a lift is listed")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  app.add_option("--shifts", options->paths.n_shifts, "shifts of the null")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  return [options](FigureSession& session) -> Figure {
    std::string what;
    const study::PathRows of = RowsOf(*options, session, what);
    study::PathsOptions paths = options->paths;
    paths.bootstrap = session.options.bootstrap;
    const auto result = study::ComputePaths(session.run, *session.database, session.rows, of,
                                            session.Layers(), paths, session.pool);
    return {study::PathsFigure(result, what), study::PathsText(result, what, session.style)};
  };
}

}  // namespace moescope::cli
