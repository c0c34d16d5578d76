// moescope capture: activations of rows of a run, for other programs.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/capture.h"
#include "lab/intervention_probe.h"
#include "lab/precision_note.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

struct CaptureCommand {
  std::string run, model, layers = "all", precision, memory;
  std::vector<std::string> sites = {"residual_after_moe"};
  std::string format = "npy";
  lab::CaptureOptions capture;
  bool json = false;
};

std::vector<lab::CaptureSite> ParseSites(const std::vector<std::string>& names) {
  std::vector<lab::CaptureSite> sites;
  for (const std::string& name : names) {
    const lab::CaptureSite site = lab::ParseCaptureSite(name);
    if (std::find(sites.begin(), sites.end(), site) == sites.end()) sites.push_back(site);
  }
  return sites;
}

void PrintSummary(const lab::CaptureSummary& summary, const std::string& output, bool parquet) {
  fmt::print("{} tokens of {} sequences\n", FormatCount(static_cast<uint64_t>(summary.n_tokens)),
             FormatCount(static_cast<uint64_t>(summary.n_sequences)));
  for (const lab::CapturedFile& file : summary.files) {
    fmt::print("{}/{}.{}  {} rows of {} float32\n", output, Name(file.site),
               parquet ? "parquet" : "npy", FormatCount(static_cast<uint64_t>(file.n_rows)),
               file.dim);
  }
  if (!parquet) {
    fmt::print("what row i is: row i of the .parquet file beside it\n");
  }
}

void PrintJson(const lab::CaptureSummary& summary) {
  ordered_json rows = ordered_json::array();
  for (const lab::CapturedFile& file : summary.files) {
    rows.push_back({{"site", Name(file.site)}, {"rows", file.n_rows}, {"dim", file.dim}});
  }
  fmt::print("{}\n", ordered_json{{"rows", rows},
                                  {"tokens", summary.n_tokens},
                                  {"sequences", summary.n_sequences},
                                  {"waves", summary.n_waves}}
                         .dump(2));
}

void RunCapture(CaptureCommand& options) {
  const store::Run run = store::Run::Open(options.run);
  lab::CaptureOptions& capture = options.capture;
  if (!options.memory.empty()) capture.memory_bytes = ParseBytes(options.memory);
  const lab::TextModel opened =
      lab::OpenTextModel(options.model, lab::SweepModel(capture.memory_bytes));
  capture.sites = ParseSites(options.sites);
  capture.layers =
      routing::ParseLayerList(options.layers, lab::RoutedModelOf(*opened.model), "--layers");
  std::sort(capture.layers.begin(), capture.layers.end());
  capture.layers.erase(std::unique(capture.layers.begin(), capture.layers.end()),
                       capture.layers.end());
  capture.precision = engine::ParsePrecision(options.precision.empty() ? run.description().precision
                                                                       : options.precision);
  capture.parquet = options.format == "parquet";
  lab::PrintPrecisionNote(*opened.model, capture.precision);
  const lab::CaptureSummary summary = lab::Capture(opened, run, capture);
  options.json ? PrintJson(summary) : PrintSummary(summary, capture.output, capture.parquet);
}

}  // namespace

std::function<void()> AddCapture(CLI::App& app) {
  auto options = std::make_shared<CaptureCommand>();
  lab::CaptureOptions& capture = options->capture;
  app.add_option("run", options->run, "run directory")->required();
  app.add_option("-m,--model", options->model, "the model of the run")->required();
  app.add_option("--rows", capture.rows_sql,
                 "a SELECT over the run with a column `token`, such as \"SELECT token FROM routes "
                 "WHERE layer = 3 AND expert_0 = 5 LIMIT 1000\"")
      ->required();
  app.add_option("-o,--output", capture.output, "folder to write")->required();
  app.add_option("--sites", options->sites,
                 "residual_after_attention, residual_after_moe, expert_input, expert_output")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--layers", options->layers, "layers: 0,3-5 or all")->capture_default_str();
  app.add_option("--format", options->format,
                 "npy: arrays, with what their rows are in Parquet beside; parquet: all in one")
      ->check(CLI::IsMember({"npy", "parquet"}))
      ->capture_default_str();
  app.add_option("--precision", options->precision, "exact or fast (default: the run's)")
      ->check(CLI::IsMember({"exact", "fast"}));
  app.add_option("--memory", options->memory, "memory to use, such as 512M or 2G");
  app.add_option("--wave-tokens", capture.wave_tokens,
                 "rows of a wave at most (default: what memory allows)")
      ->check(CLI::PositiveNumber);
  app.add_option("-t,--threads", capture.n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", options->json, "print JSON");
  return [options] { RunCapture(*options); };
}

}  // namespace moescope::cli
