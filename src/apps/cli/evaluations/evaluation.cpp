#include "apps/cli/evaluations/evaluation.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/cli/figures/figure.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/describe_run.h"
#include "lab/precision_note.h"
#include "study/figures/number_text.h"

namespace moescope::cli {

void AddModelOptions(CLI::App& app, ModelOptions& options) {
  app.add_option("-m,--model", options.model, "checkpoint: a GGUF file or a folder")->required();
  app.add_flag("--no-bos", options.no_bos, "no BOS, also where the model's tokenizer puts one");
  app.add_option("--precision", options.precision,
                 "exact; fast: activations rounded where they meet quantised weights; auto: fast "
                 "for models stored quantised")
      ->check(CLI::IsMember({"auto", "exact", "fast"}))
      ->capture_default_str();
  app.add_option("--memory", options.memory, "memory to use, such as 96M or 2G");
  app.add_option("-t,--threads", options.n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
}

void AddReportOptions(CLI::App& app, ReportOptions& options) {
  AddChangeOptions(app, options.changes);
  app.add_option("-o,--output", options.output,
                 "directory for what each item came to: Parquet tables, for `query`");
  app.add_option("--samples", options.bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-s,--seed", options.bootstrap.seed, "Seed of resamples and draws")
      ->capture_default_str();
  app.add_option("--color,--colour", options.colour, "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  auto* json = app.add_flag("--json", options.json, "Rows and statement as JSON");
  app.add_flag("--csv", options.csv, "Rows as CSV")->excludes(json);
}

lab::EvalOptions EvalOptionsOf(const ModelOptions& model, const ReportOptions& report) {
  if (!report.output.empty()) store::RequireFreeDirectory(report.output);
  const uint64_t memory = model.memory.empty() ? 0 : ParseBytes(model.memory);
  if (!model.memory.empty() && memory == 0) {
    throw Error(ErrorKind::kBadInput, "--memory: expected more than 0 bytes");
  }
  return {.changes = report.changes.Changes(),
          .n_threads = model.n_threads,
          .memory_bytes = memory,
          .precision = lab::ChoosePrecision(model.precision, model.model)};
}

store::RunDescription DescribeEval(const lab::EvalModel& model,
                                   const std::vector<text::DataSpec>& data,
                                   const text::SequencePolicy& policy, int context) {
  store::RunDescription run =
      lab::DescribeRun(*model.opened.model, *model.opened.tokenizer, model.kernels,
                       {data, policy, context, false, model.options.precision});
  run.interventions = model.changes.written();
  if (!run.is_dense()) run.experts_per_token = model.changes.experts_per_token();
  return run;
}

namespace {

// What holds for every evaluation of a model; documents and chunks are each one's own.
std::string StatementLinesText(const study::Statement& statement) {
  std::string text;
  for (const auto& [label, value] : study::StatementLines(statement)) {
    if (label == "documents" || label == "tokens") continue;
    text += fmt::format("{:<13} {}\n", label, study::Printable(value));
  }
  return text;
}

}  // namespace

void PrintEval(const ReportOptions& options, const store::RunDescription& run,
               const lab::ScoreCost& cost, EvalReport report) {
  if (!options.output.empty()) {
    report.about.emplace_back("seed", static_cast<int64_t>(options.bootstrap.seed));
    store::WriteResults(options.output, {run, report.about}, report.items);
  }
  study::Statement statement;
  statement.complete = true;
  statement.description = run;
  statement.tokens = statement.plain_tokens = cost.n_rows;
  statement.seed = options.bootstrap.seed;
  statement.bootstrap_samples = options.bootstrap.n_samples;
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, study::Cell>>{
           {"rows_run", cost.n_rows},
           {"waves", cost.n_waves},
           {"flops", cost.flops},
           {"seconds", cost.seconds},
           {"results", options.output.empty() ? study::Cell() : study::Cell(options.output)}}) {
    report.table.about.emplace_back(name, value);
  }
  if (options.json) return PrintText(study::FigureJson(report.table, statement));
  if (options.csv) return PrintText(study::FigureCsv(report.table));
  std::string text = report.text + fmt::format("\n{} tokens run in {}\n",
                                               FormatCount(static_cast<uint64_t>(cost.n_rows)),
                                               FormatSeconds(cost.seconds));
  if (!options.output.empty()) {
    text += fmt::format("next: moescope query {} 'SELECT * FROM {} LIMIT 10'\n", options.output,
                        report.items.front().name);
  }
  PrintText(text + "\n" + StatementLinesText(statement));
}

std::string AccuracyText(const study::Accuracy& accuracy) {
  std::string text =
      study::Percent(accuracy.share) + " % " + study::PercentInterval(accuracy.interval);
  if (accuracy.at_chance) text += " at chance";
  return text;
}

}  // namespace moescope::cli
