// figure: one figure of a run, in the terminal or as JSON or CSV.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/picture_options.h"
#include "base/error.h"
#include "base/units.h"
#include "study/report/chart.h"

namespace moescope::cli {
namespace {

// The table of figures, in the order of the help page.
constexpr FigureCommand kFigures[] = {
    {"7", "Share of each expert, by data set", AddShares},
    {"8", "Text, each token on the colour of its first choice", AddRoutedText, true, false},
    {"9", "Figure 7 by first and second choice", AddSharesByChoice},
    {"10", "Repetition by layer, a line for each data set", AddRepetitionByLayer},
    {"table5", "Repetition between consecutive tokens, beside its nulls", AddRepetition},
    {"domains", "How differently data sets are routed, beside nulls", AddDomains},
    {"affinity", "Which experts code, or another group of data sets, prefers", AddAffinity},
    {"explained", "What first choices follow from: token, previous token, position, domain",
     AddExplained},
    {"lags", "Repetition over the distance of the two tokens", AddRepetitionByLag},
    {"indentation", "Whether indentation goes to one expert", AddIndentation},
    {"words", "Whether the pieces of words go to one expert", AddWords},
    {"vocabulary", "How far the token decides its experts", AddVocabulary},
    {"coactivation", "Which experts are chosen together", AddCoactivation},
    {"crosslayer", "What first choices of two layers say about each other", AddCrossLayer},
    {"perplexity", "Loss, perplexity and bits per byte by data set", AddPerplexity, false, false},
    {"experts", "Which tokens go to an expert", AddExpertTokens, true, false},
    {"token", "Which experts saw a token", AddTokenExperts, true, false},
    {"paths", "Paths of first choices over layers, beside independence", AddPaths},
    {"card", "Everything about one expert", AddCard},
    {"findings", "What the run shows, in sentences", AddFindings},
    {"claims", "What was claimed of experts, judged on this run", AddClaims},
};

}  // namespace

study::TerminalStyle StyleOf(const std::string& colour) {
  study::TerminalStyle style;
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const bool refused = no_colour != nullptr && *no_colour != '\0';
  style.colour = colour == "always" || (colour == "auto" && is_terminal && !refused);
  winsize size = {};
  if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = std::max<int>(40, size.ws_col);
  }
  return style;
}

void AddFigureOptions(CLI::App& app, FigureOptions& options, const char* default_layers) {
  app.add_option("--layers", options.layers,
                 fmt::format("Layers: 0,3 or all; default {}", default_layers));
  app.add_option("--samples", options.bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-s,--seed", options.bootstrap.seed, "Seed of resamples and draws")
      ->capture_default_str();
  app.add_option("-t,--threads", options.n_threads, "Threads; 0: one a core");
  app.add_option("--memory", options.memory, "Memory of the database, as 96M or 2G");
  app.add_option("--color,--colour", options.colour, "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  auto* json = app.add_flag("--json", options.json, "Rows and statement as JSON");
  app.add_flag("--csv", options.csv, "Rows as CSV")->excludes(json);
}

void PrintText(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    ThrowErrno(errno, "write", "standard output");
  }
}

void PrintFigure(const FigureSession& session, const Figure& figure, const std::string& heading) {
  const FigureOptions& options = session.options;
  const study::Statement statement = study::MakeStatement(
      session.run, session.rows, options.bootstrap.seed, options.bootstrap.n_samples);
  const bool drawn = WritePictures(options.pictures, figure.table, statement, heading);
  std::string out;
  if (options.json) {
    out = figure.json.empty() ? study::FigureJson(figure.table, statement) : figure.json;
  } else if (options.csv) {
    out = study::FigureCsv(figure.table);
  } else if (!drawn) {
    out = figure.text + "\n" + study::StatementText(statement, session.style);
  }
  PrintText(out);
}

FigureSession::FigureSession(const FigureOptions& given, bool needs_routes)
    : options(given),
      run(store::Run::Open(given.run)),
      pool(given.n_threads),
      style(StyleOf(given.colour)) {
  if (needs_routes) study::RequireRoutes(run);
  store::DatabaseOptions limits;
  limits.memory_bytes = ParseBytes(given.memory);
  limits.n_threads = given.n_threads;
  database = run.OpenViews(limits);
  rows = study::LoadRows(run, *database, options.datasets);
}

std::vector<int> FigureSession::Layers() const {
  return study::ParseLayers(options.layers, run.description().LayerNumbers());
}

std::function<void()> AddFigure(CLI::App& app) {
  auto options = std::make_shared<FigureOptions>();
  auto chosen = std::make_shared<std::function<void()>>();
  app.require_subcommand(1);
  for (const FigureCommand& command : kFigures) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->add_option("run", options->run, "Run directory")->required();
    AddFigureOptions(*sub, *options, "first, middle and last");
    FigureFunction draw = command.add(*sub);
    if (command.by_rows) {
      sub->add_option("--datasets", options->datasets, "Only these data sets, as code,prose")
          ->delimiter(',')
          ->allow_extra_args(false);
    }
    // Pictures are refused as an unknown option where there is no chart.
    if (study::HasChart(command.name)) AddPictureOptions(*sub, options->pictures);
    const bool needs_routes = command.needs_routes;
    const char* heading = command.summary;
    sub->callback([=] {
      *chosen = [=] {
        FigureSession session(*options, needs_routes);
        PrintFigure(session, draw(session), heading);
      };
    });
  }
  return [chosen] { (*chosen)(); };
}

}  // namespace moescope::cli
