// `moescope demo`: the whole tour in one command: a folder of data sets through a model, the
// report, and what a first look at the run says.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/shell_word.h"
#include "base/error.h"
#include "base/parallel/thread_pool.h"
#include "base/platform/durable_file.h"
#include "base/units.h"
#include "lab/trace.h"
#include "store/parquet_documents.h"
#include "store/run.h"
#include "study/analysis/findings.h"
#include "study/analysis/repetition.h"
#include "study/figures/terminal.h"
#include "study/report/report_data.h"
#include "study/report/report_page.h"
#include "study/report/web_bundle.h"

namespace moescope::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model;
  std::string data;
  std::string output;
  int chunk = 0;
  int n_threads = 0;
  uint64_t seed = 1;
};

// Every .jsonl file of the folder (also compressed) is a data set of its name, in order of names.
std::vector<text::DataSpec> DatasetsOf(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().find(".jsonl") != std::string::npos) {
      paths.push_back(entry.path().string());
    }
  }
  if (error) ThrowErrno(error.value(), "read the data sets", folder);
  if (paths.empty()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot read the data sets: {}: expected .jsonl files, found none", folder));
  }
  std::sort(paths.begin(), paths.end());
  std::vector<text::DataSpec> datasets;
  for (const std::string& path : paths) {
    std::string name = fs::path(path).filename().string();
    name.resize(name.find(".jsonl"));
    text::DataSpec& dataset = datasets.emplace_back();
    dataset.name = name;
    dataset.path = path;
  }
  return datasets;
}

void TraceAll(const Options& options, const std::string& run) {
  lab::TraceOptions trace;
  trace.model = options.model;
  trace.data = DatasetsOf(options.data);
  trace.policy.chunk = options.chunk;
  trace.output = run;
  trace.n_threads = options.n_threads;
  const lab::TraceSummary summary = lab::Trace(trace, store::MakeParquetOpener());
  if (summary.was_complete) {
    fmt::print("{}: traced before\n", run);
  } else {
    fmt::print("{}: {} tokens of {} data sets traced in {}\n", run,
               FormatCount(static_cast<uint64_t>(summary.n_tokens + summary.n_tokens_before)),
               trace.data.size(), FormatSeconds(summary.seconds));
  }
}

void WriteReport(const Options& options, const store::Run& run, const std::string& page,
                 ThreadPool& pool) {
  study::ReportOptions report;
  report.layers = study::ParseLayers("", run.description().LayerNumbers());
  report.run_path = ShellWord(run.directory());
  report.seed = options.seed;
  const study::ReportData data = study::MakeReportData(run, report, pool);
  ReplaceFile(page, AsBytes(study::RenderPage(study::PageTemplate(study::Page::kReport), data.title,
                                              data.json)));
}

void PrintFirstLook(const Options& options, const store::Run& run, ThreadPool& pool) {
  const auto database = run.OpenViews({});
  const study::RowColumns rows = study::LoadRows(run, *database);
  const std::vector<int> layers = study::ParseLayers("", run.description().LayerNumbers());
  study::RepetitionOptions repetition;
  repetition.bootstrap.seed = options.seed;
  study::FindingsOptions findings;
  findings.bootstrap.seed = options.seed;
  const study::TerminalStyle style;
  fmt::print("\n{}",
             study::RepetitionText(
                 study::RepetitionTable(run, *database, rows, layers, repetition, pool), style));
  fmt::print("\n{}", study::FindingsText(
                         study::ComputeFindings(run, *database, rows, findings, pool), style));
}

void RunDemo(const Options& options) {
  fs::create_directories(options.output);
  const std::string run_directory = options.output + "/run";
  const std::string page = options.output + "/report.html";
  TraceAll(options, run_directory);
  const store::Run run = store::Run::Open(run_directory);
  ThreadPool pool(options.n_threads);
  WriteReport(options, run, page, pool);
  PrintFirstLook(options, run, pool);
  fmt::print("\nThe report: {}\nOpen it in a browser; it works offline. Then try:\n",
             fs::absolute(page).string());
  for (const char* next :
       {"moescope figure claims {}", "moescope figure 8 {}", "moescope figure 7 {} --layers all",
        "moescope query {} \"SELECT layer, expert, count(*) AS tokens FROM "
        "assignments GROUP BY ALL ORDER BY ALL\""}) {
    fmt::print("  {}\n", fmt::format(fmt::runtime(next), run_directory));
  }
}

}  // namespace

std::function<void()> AddDemo(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("-m,--model", options->model, "checkpoint: a GGUF file or a folder")->required();
  app.add_option("--data", options->data, "folder of .jsonl files, one a data set")->required();
  app.add_option("-o,--output", options->output, "folder for the run and the report")->required();
  app.add_option("--chunk", options->chunk, "longest sequence in tokens (default: the context)")
      ->check(CLI::Range(2, 1 << 24));
  app.add_option("-t,--threads", options->n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  app.add_option("-s,--seed", options->seed, "seed of resampling")->capture_default_str();
  return [options] { RunDemo(*options); };
}

}  // namespace moescope::cli
