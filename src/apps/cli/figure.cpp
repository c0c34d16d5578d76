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
#include "base/error.h"
#include "base/parallel/thread_pool.h"
#include "base/units.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::cli {
namespace {

using namespace study;  // NOLINT: this file is a front of that folder

struct FigureOptions {
  std::string figure, run, text;
  std::string layers, convention = "assignments", order = "lift", colour = "auto", memory = "1G";
  int lag = 1, limit = 20, max_tokens = 120, layer = -1, expert = -1, n_threads = 0;
  std::string dataset;
  std::vector<int64_t> documents;
  bool differing_tokens = false, first_choice_only = false, json = false, csv = false;
  BootstrapOptions bootstrap;
};

// What a figure function needs, opened once.
struct Session {
  const FigureOptions& options;
  store::Run run;
  std::unique_ptr<store::Database> database;
  RowColumns rows;
  ThreadPool pool;

  explicit Session(const FigureOptions& given)
      : options(given), run(store::Run::Open(given.run)), pool(given.n_threads) {
    if (given.figure != "perplexity") RequireRoutes(run);  // before anything is read
    store::DatabaseOptions limits;
    limits.memory_bytes = ParseBytes(given.memory);
    limits.n_threads = given.n_threads;
    database = run.OpenViews(limits);
    rows = LoadRows(run, *database);
  }
  std::vector<int> Layers() const {
    return ParseLayers(options.layers, run.description().LayerNumbers());
  }
};

// A figure's numbers, and the same for a terminal (made only when asked for).
struct Figure {
  FigureTable table;
  std::string text;
};

TerminalStyle Style(const FigureOptions& options) {
  TerminalStyle style;
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const bool refused = no_colour != nullptr && *no_colour != '\0';
  style.colour =
      options.colour == "always" || (options.colour == "auto" && is_terminal && !refused);
  winsize size = {};
  if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = std::max<int>(40, size.ws_col);
  }
  return style;
}

Figure Shares(Session& session, bool by_choice) {
  SharesOptions options;
  options.by_choice = by_choice;
  options.bootstrap = session.options.bootstrap;
  if (session.options.convention == "tokens") options.convention = ShareConvention::kTokens;
  const auto shares = ExpertShareTable(session.run, *session.database, session.rows,
                                       session.Layers(), options, session.pool);
  Figure figure = {SharesFigure(shares, options.convention),
                   SharesText(shares, Style(session.options))};
  if (by_choice) figure.table.figure = "9";
  return figure;
}

Figure Repetition(Session& session) {
  RepetitionOptions options;
  options.lag = session.options.lag;
  options.differing_tokens = session.options.differing_tokens;
  options.bootstrap = session.options.bootstrap;
  const auto cells = RepetitionTable(session.run, *session.database, session.rows, session.Layers(),
                                     options, session.pool);
  return {RepetitionFigure(cells, options.differing_tokens),
          RepetitionText(cells, Style(session.options))};
}

Figure RoutedTexts(Session& session) {
  RoutedTextOptions options;
  options.documents = session.options.documents;
  options.max_tokens = session.options.max_tokens;
  const auto texts = LoadRoutedTexts(session.run, *session.database, session.Layers(), options);
  return {RoutedTextFigure(texts),
          RoutedTextText(texts, session.run.description().n_experts, Style(session.options))};
}

Figure Perplexity(Session& session) {
  const auto rows =
      PerplexityTable(session.run, *session.database, session.options.bootstrap, session.pool);
  return {PerplexityFigure(rows), PerplexityText(rows, Style(session.options))};
}

TokenViewOptions ViewOptions(const FigureOptions& options) {
  TokenViewOptions view;
  view.dataset = options.dataset;
  view.first_choice_only = options.first_choice_only;
  view.limit = options.limit;
  return view;
}

Figure ExpertTokens(Session& session) {
  const FigureOptions& options = session.options;
  if (options.layer < 0 || options.expert < 0) {
    throw Error(ErrorKind::kUsage, "figure experts: expected --layer L and --expert E");
  }
  const auto order = options.order == "count"    ? ExpertTokenOrder::kCount
                     : options.order == "excess" ? ExpertTokenOrder::kExcess
                                                 : ExpertTokenOrder::kLift;
  const auto tokens = TokensOfExpert(session.run, *session.database, options.layer, options.expert,
                                     order, ViewOptions(options));
  return {ExpertTokensFigure(options.layer, options.expert, tokens),
          ExpertTokensText(options.layer, options.expert, tokens, Style(options))};
}

Figure TokenExperts(Session& session) {
  if (session.options.text.empty()) {
    throw Error(ErrorKind::kUsage,
                "figure token: expected the token after the run: figure token "
                "RUN TEXT");
  }
  const auto experts = ExpertsOfToken(session.run, *session.database, session.options.text,
                                      session.Layers(), ViewOptions(session.options));
  return {TokenExpertsFigure(experts), TokenExpertsText(experts, Style(session.options))};
}

Figure FindingSentences(Session& session) {
  FindingsOptions options;
  options.bootstrap = session.options.bootstrap;
  const Findings findings =
      ComputeFindings(session.run, *session.database, session.rows, options, session.pool);
  return {FindingsFigure(findings), FindingsText(findings, Style(session.options))};
}

Figure Draw(Session& session) {
  const std::string& name = session.options.figure;
  if (name == "7") return Shares(session, false);
  if (name == "9") return Shares(session, true);
  if (name == "8") return RoutedTexts(session);
  if (name == "table5") return Repetition(session);
  if (name == "perplexity") return Perplexity(session);
  if (name == "experts") return ExpertTokens(session);
  if (name == "token") return TokenExperts(session);
  return FindingSentences(session);
}

void RunFigure(const FigureOptions& options) {
  Session session(options);
  const Figure figure = Draw(session);
  const Statement statement =
      MakeStatement(session.run, session.rows, options.bootstrap.seed, options.bootstrap.n_samples);
  std::string out;
  if (options.json) {
    out = FigureJson(figure.table, statement);
  } else if (options.csv) {
    out = FigureCsv(figure.table);
  } else {
    out = figure.text + "\n" + StatementText(statement, Style(options));
  }
  if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0) {
    ThrowErrno(errno, "write", "standard output");
  }
}

}  // namespace

std::function<void()> AddFigure(CLI::App& app) {
  auto options = std::make_shared<FigureOptions>();
  app.add_option("figure", options->figure,
                 "7 (shares), 8 (coloured text), 9 (shares by choice), table5 (repetition), "
                 "perplexity, experts (which tokens go to one), token (which experts saw one), "
                 "findings")
      ->required()
      ->check(
          CLI::IsMember({"7", "8", "9", "table5", "perplexity", "experts", "token", "findings"}));
  app.add_option("run", options->run, "Run directory")->required();
  app.add_option("text", options->text, "token: its text, or #ID");
  app.add_option("--layers", options->layers, "Layers: 0,3 or all; default first, middle and last");
  app.add_option("--convention", options->convention, "7, 9: shares of assignments or of tokens")
      ->check(CLI::IsMember({"assignments", "tokens"}));
  app.add_option("--lag", options->lag, "table5: distance of the two tokens")
      ->check(CLI::Range(1, kMaxLag));
  app.add_flag("--differing-tokens", options->differing_tokens,
               "table5: only pairs whose two tokens differ");
  app.add_option("--documents", options->documents, "8: documents by number, as 0,3")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("-n,--tokens", options->max_tokens, "8: tokens of each document")
      ->check(CLI::Range(1, 100000));
  app.add_option("--layer", options->layer, "experts: the layer");
  app.add_option("--expert", options->expert, "experts: the expert");
  app.add_option("--order", options->order, "experts: by lift, count, or count above expectation")
      ->check(CLI::IsMember({"lift", "count", "excess"}));
  app.add_option("--dataset", options->dataset, "experts, token: only this data set");
  app.add_option("--limit", options->limit, "experts: rows")->check(CLI::Range(1, 1000000));
  app.add_flag("--first-choice", options->first_choice_only,
               "experts, token: only first choices count");
  app.add_option("--samples", options->bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000));
  app.add_option("-s,--seed", options->bootstrap.seed, "Seed of resamples and draws");
  app.add_option("-t,--threads", options->n_threads, "Threads; 0: one a core");
  app.add_option("--memory", options->memory, "Memory of the database, as 96M or 2G");
  app.add_option("--color,--colour", options->colour,
                 "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  auto* json = app.add_flag("--json", options->json, "Rows and statement as JSON");
  app.add_flag("--csv", options->csv, "Rows as CSV")->excludes(json);
  return [options] { RunFigure(*options); };
}

}  // namespace moescope::cli
