// One row of the table of figures. Each figure lives in a file of its own: it declares its options
// on a CLI11 subcommand of `figure` and hands back what to draw once they are parsed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/picture_options.h"
#include "base/parallel/thread_pool.h"
#include "store/run.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace CLI {
class App;
}

namespace moescope::cli {

// The options every figure has.
struct FigureOptions {
  std::string run, layers, colour = "auto", memory = "1G";
  std::vector<std::string> datasets;  // empty: all
  int n_threads = 0;
  bool json = false, csv = false;
  PictureFiles pictures;
  study::BootstrapOptions bootstrap;
};

// A run opened once for a figure to read.
struct FigureSession {
  const FigureOptions& options;
  store::Run run;
  std::unique_ptr<store::Database> database;
  study::RowColumns rows;
  ThreadPool pool;
  study::TerminalStyle style;

  // needs_routes: a dense run is refused before anything is read.
  FigureSession(const FigureOptions& given, bool needs_routes);
  // The layers asked for, by default the first, middle and last of the run.
  std::vector<int> Layers() const;
  std::vector<int> AllLayers() const { return run.description().LayerNumbers(); }
};

// A figure's numbers, and the same for a terminal.
struct Figure {
  study::FigureTable table;
  std::string text;
  std::string json = {};  // what --json prints where a format of others is asked for; "": the table
};

// For commands that print as figures do: route, diff. What they have beside their run.
void AddFigureOptions(CLI::App& app, FigureOptions& options, const char* default_layers);
study::TerminalStyle StyleOf(const std::string& colour);
// As text with the run's statement, JSON or CSV, whichever the options say; or, where they name
// files for pictures, those under `heading`.
void PrintFigure(const FigureSession& session, const Figure& figure,
                 const std::string& heading = "");
// Throws Error(kIo) when it cannot be written.
void PrintText(const std::string& text);

using FigureFunction = std::function<Figure(FigureSession&)>;

struct FigureCommand {
  const char* name;
  const char* summary;
  FigureFunction (*add)(CLI::App& app);
  bool needs_routes = true;
  bool by_rows = true;  // looks at all rows of a run, so that it can look at some data sets only
};

// Defined one or a few related ones per file, listed in figure.cpp in the order of the help page.
FigureFunction AddShares(CLI::App& app);
FigureFunction AddSharesByChoice(CLI::App& app);
FigureFunction AddRoutedText(CLI::App& app);
FigureFunction AddRepetition(CLI::App& app);
FigureFunction AddDomains(CLI::App& app);
FigureFunction AddAffinity(CLI::App& app);
FigureFunction AddExplained(CLI::App& app);
FigureFunction AddRepetitionByLayer(CLI::App& app);
FigureFunction AddRepetitionByLag(CLI::App& app);
FigureFunction AddIndentation(CLI::App& app);
FigureFunction AddWords(CLI::App& app);
FigureFunction AddVocabulary(CLI::App& app);
FigureFunction AddCoactivation(CLI::App& app);
FigureFunction AddCrossLayer(CLI::App& app);
FigureFunction AddPerplexity(CLI::App& app);
FigureFunction AddExpertTokens(CLI::App& app);
FigureFunction AddTokenExperts(CLI::App& app);
FigureFunction AddPaths(CLI::App& app);
FigureFunction AddCard(CLI::App& app);
FigureFunction AddFindings(CLI::App& app);
FigureFunction AddClaims(CLI::App& app);

}  // namespace moescope::cli
