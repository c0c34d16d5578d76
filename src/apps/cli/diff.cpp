// moescope diff RUN_A RUN_B: two runs of the same text, decision by decision.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "base/units.h"
#include "study/analysis/run_diff.h"
#include "study/figures/diff_figure.h"

namespace moescope::cli {
namespace {

struct DiffOptions {
  FigureOptions a;  // and what both have in common
  std::string b;
};

void Diff(const DiffOptions& options) {
  FigureSession session(options.a, false);
  const store::Run run_b = store::Run::Open(options.b);
  store::DatabaseOptions limits;
  limits.memory_bytes = ParseBytes(options.a.memory);
  limits.n_threads = options.a.n_threads;
  const auto database_b = run_b.OpenViews(limits);
  std::vector<int> layers;
  if (!options.a.layers.empty()) layers = session.Layers();
  const study::BootstrapOptions& bootstrap = options.a.bootstrap;
  const auto diff = study::DiffRuns({session.run, *session.database}, {run_b, *database_b},
                                    session.rows, layers, bootstrap, session.pool);
  const auto statement_of = [&](const store::Run& run) {
    return study::MakeStatement(run, session.rows, bootstrap.seed, bootstrap.n_samples);
  };
  const study::Statement a = statement_of(session.run), b = statement_of(run_b);
  const study::FigureTable table = study::DiffFigure(diff);
  if (options.a.json) {
    PrintText(study::FigureJson(table, a, b));
  } else if (options.a.csv) {
    PrintText(study::FigureCsv(table));
  } else {
    PrintText(study::DiffText(diff, session.style) + "\n" +
              study::DiffStatementText(a, b, session.style));
  }
}

}  // namespace

std::function<void()> AddDiff(CLI::App& app) {
  auto options = std::make_shared<DiffOptions>();
  app.add_option("run_a", options->a.run, "Run directory")->required();
  app.add_option("run_b", options->b, "Run directory, of the same text")->required();
  AddFigureOptions(app, options->a, "all");
  return [options] { Diff(*options); };
}

}  // namespace moescope::cli
