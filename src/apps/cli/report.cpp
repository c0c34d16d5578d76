// `moescope report`: everything a run tells at first sight, as one HTML page.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/page_file.h"
#include "apps/cli/shell_word.h"
#include "base/parallel/thread_pool.h"
#include "base/units.h"
#include "store/run.h"
#include "study/analysis/route_columns.h"
#include "study/report/report_data.h"
#include "study/report/report_page.h"
#include "study/report/web_bundle.h"

namespace moescope::cli {
namespace {

struct Options {
  std::string run;
  std::string output;
  std::string title;
  std::string layers;
  uint64_t seed = 1;
  int bootstrap_samples = 2000;
  int n_threads = 0;
  std::string memory = "1G";
  bool json = false;
};

void MakeReport(const Options& options) {
  CheckPageWritable(options.output);
  const store::Run run = store::Run::Open(options.run);
  study::ReportOptions report_options;
  report_options.title = options.title;
  const bool is_dense = run.description().is_dense();
  if (!options.layers.empty()) study::RequireRoutes(run);
  if (!is_dense) {
    report_options.layers = study::ParseLayers(options.layers, run.description().LayerNumbers());
  }
  report_options.run_path = ShellWord(options.run);
  report_options.database.memory_bytes = ParseBytes(options.memory);
  report_options.database.n_threads = options.n_threads;
  report_options.seed = options.seed;
  report_options.bootstrap_samples = options.bootstrap_samples;
  ThreadPool pool(options.n_threads);
  const study::ReportData report = study::MakeReportData(run, report_options, pool);
  const std::string page =
      study::RenderPage(study::PageTemplate(study::Page::kReport), report.title, report.json);
  WritePage(options.output, page);
  if (options.json) {
    const nlohmann::ordered_json result = {{"page", options.output},
                                           {"bytes", page.size()},
                                           {"title", report.title},
                                           {"run", options.run}};
    fmt::print("{}\n", result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print(
        "{}: {}, one file, works offline\nnext: open it in a browser, or go deeper:\n"
        "      moescope figure {} {}{}\n",
        options.output, FormatBytes(page.size()), is_dense ? "perplexity" : "table5", options.run,
        is_dense ? "" : " --layers all");
  }
}

}  // namespace

std::function<void()> AddReport(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("run", options->run, "run directory")->required();
  app.add_option("-o,--output", options->output, "the page to write, as page.html")->required();
  app.add_option("--title", options->title, "heading of the page");
  app.add_option("--layers", options->layers,
                 "layers shown at first: 0,3 or all (default: first, middle, last)");
  app.add_option("-s,--seed", options->seed, "seed of resampling")->capture_default_str();
  app.add_option("--samples", options->bootstrap_samples, "bootstrap resamples for intervals")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("-t,--threads", options->n_threads, "threads (default: all cores)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--memory", options->memory, "memory of the database, as 96M or 2G")
      ->capture_default_str();
  app.add_flag("--json", options->json, "print what was written as JSON");
  return [options] { MakeReport(*options); };
}

}  // namespace moescope::cli
