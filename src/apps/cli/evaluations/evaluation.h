// One row of the table of evaluations, what all of them are asked, and how their results come out.
// Each lives in a file of its own: it declares its options on a CLI11 subcommand of `eval` and
// hands back what to run once they are parsed.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/change_options.h"
#include "lab/eval/sequence_scorer.h"
#include "store/results.h"
#include "study/analysis/accuracy.h"
#include "study/figures/figure_table.h"
#include "study/figures/text_table.h"
#include "text/document.h"
#include "text/sequences.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct Evaluation {
  const char* name;
  const char* summary;
  std::function<void()> (*add)(CLI::App& app);
};

// Listed in eval.cpp in the order of the help page.
std::function<void()> AddEvalPerplexity(CLI::App& app);
std::function<void()> AddEvalChoice(CLI::App& app);
std::function<void()> AddEvalAnswers(CLI::App& app);
std::function<void()> AddEvalPasskey(CLI::App& app);
std::function<void()> AddEvalMakeCloze(CLI::App& app);

// The model and its arithmetic. `eval perplexity` has them among the options of text.
struct ModelOptions {
  std::string model, precision = "auto", memory;
  int n_threads = 0;
  bool no_bos = false;
};
void AddModelOptions(CLI::App& app, ModelOptions& options);

struct ReportOptions {
  ChangeOptions changes;
  std::string output;  // of results; "": not stored
  std::string colour = "auto";
  bool json = false, csv = false;
  study::BootstrapOptions bootstrap;
};
// --intervene and its places, --patch, --add, -o, --samples, -s, --color, --json, --csv.
void AddReportOptions(CLI::App& app, ReportOptions& options);

// The options of the model and of its changes. Throws Error as ParseBytes, PlaceInterventions; and
// where the output is taken already, before anything is computed.
lab::EvalOptions EvalOptionsOf(const ModelOptions& model, const ReportOptions& report);

struct EvalReport {
  study::FigureTable table;                                 // rows of the result
  std::string text;                                         // the same for a terminal
  std::vector<store::ResultTable> items;                    // what -o stores
  std::vector<std::pair<std::string, store::Value>> about;  // of -o: the task and its settings
};
// What ran, in the words of a manifest.
store::RunDescription DescribeEval(const lab::EvalModel& model,
                                   const std::vector<text::DataSpec>& data,
                                   const text::SequencePolicy& policy, int context);
// Stores what is to be stored, then prints.
void PrintEval(const ReportOptions& options, const store::RunDescription& run,
               const lab::ScoreCost& cost, EvalReport report);

// "0.612 [0.57, 0.65]", and "at chance" where it is.
std::string AccuracyText(const study::Accuracy& accuracy);

}  // namespace moescope::cli
