// `moescope trace`: where every token of a text is routed, into a run directory.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/intervention_place.h"
#include "apps/cli/profile_options.h"
#include "apps/cli/text_options.h"
#include "base/units.h"
#include "lab/trace.h"
#include "store/parquet_documents.h"

namespace moescope::cli {
namespace {

double MeanLoss(const lab::DatasetSummary& dataset) {
  return dataset.n_predictions > 0 ? dataset.loss_sum / static_cast<double>(dataset.n_predictions)
                                   : std::nan("");
}

void PrintJson(const lab::TraceOptions& options, const lab::TraceSummary& summary,
               const std::vector<lab::ProfileRow>& profile) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const lab::DatasetSummary& dataset : summary.datasets) {
    rows.push_back({{"dataset", dataset.dataset},
                    {"documents", dataset.n_documents},
                    {"tokens", dataset.n_tokens},
                    {"predictions", dataset.n_predictions},
                    {"mean_loss", MeanLoss(dataset)},
                    {"perplexity", std::exp(MeanLoss(dataset))}});
  }
  nlohmann::ordered_json result = {{"rows", rows},
                                   {"run", options.output},
                                   {"was_complete", summary.was_complete},
                                   {"tokens", summary.n_tokens},
                                   {"tokens_before", summary.n_tokens_before},
                                   {"waves", summary.n_waves},
                                   {"wave_rows", summary.wave_rows},
                                   {"seconds", summary.seconds},
                                   {"sweep_seconds", summary.sweep_seconds},
                                   {"weight_bytes_read", summary.weight_bytes},
                                   {"precision", Name(options.precision)},
                                   {"kernel_level", summary.kernel_level}};
  if (!profile.empty()) result["profile"] = ProfileJson(profile);
  fmt::print("{}\n", result.dump(2));
}

void PrintSummary(const lab::TraceOptions& options, const lab::TraceSummary& summary,
                  const std::vector<lab::ProfileRow>& profile) {
  if (summary.was_complete) {
    fmt::print("{} is complete: {} tokens; nothing to do\n", options.output,
               FormatCount(static_cast<uint64_t>(summary.n_tokens_before)));
    return;
  }
  if (summary.n_tokens_before > 0) {
    fmt::print("resumed after {} tokens\n",
               FormatCount(static_cast<uint64_t>(summary.n_tokens_before)));
  }
  size_t width = 8;
  for (const auto& dataset : summary.datasets) width = std::max(width, dataset.dataset.size());
  fmt::print("{:<{}}  {:>9}  {:>12}  {:>10}  {:>10}\n", "data set", width, "documents", "tokens",
             "loss/nats", "perplexity");
  for (const lab::DatasetSummary& dataset : summary.datasets) {
    double loss = MeanLoss(dataset);
    fmt::print("{:<{}}  {:>9}  {:>12}  {:>10.4f}  {:>10.2f}\n", dataset.dataset, width,
               FormatCount(static_cast<uint64_t>(dataset.n_documents)),
               FormatCount(static_cast<uint64_t>(dataset.n_tokens)), loss, std::exp(loss));
  }
  double rate = summary.seconds > 0 ? static_cast<double>(summary.n_tokens) / summary.seconds : 0;
  fmt::print("\n{} tokens in {} ({} tokens/s, {}, {})\n",
             FormatCount(static_cast<uint64_t>(summary.n_tokens)), FormatSeconds(summary.seconds),
             FormatCount(static_cast<uint64_t>(rate)), Name(options.precision),
             summary.kernel_level);
  if (!profile.empty()) fmt::print("\n{}\n", FormatProfile(profile));
  fmt::print("next: moescope figure {1} {0}\n      moescope report {0} -o report.html\n",
             options.output, summary.is_dense ? "perplexity" : "table5");
}

}  // namespace

std::function<void()> AddTrace(CLI::App& app) {
  struct Options {
    std::shared_ptr<TextOptions> text;
    lab::TraceOptions trace;
    InterventionOptions interventions;
    std::string weights = "mapped";
    ProfileOptions profile;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  options->text = AddTextOptions(app);
  app.add_option("-o,--output", options->trace.output,
                 "run directory; an unfinished one is resumed")
      ->required();
  app.add_flag("--logits", options->trace.logits, "store all router logits");
  AddInterventionOptions(app, options->interventions);
  app.add_option("--wave-tokens", options->trace.wave_tokens,
                 "tokens of a wave at most (default: what memory allows)")
      ->check(CLI::PositiveNumber);
  app.add_option("--part-tokens", options->trace.tokens_per_part, "tokens of a part of the run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--weights", options->weights, "how weights reach memory")
      ->check(CLI::IsMember({"mapped", "read"}))
      ->capture_default_str();
  AddProfileOptions(app, options->profile);
  app.add_flag("--json", options->json, "print JSON");
  return [options] {
    lab::TraceOptions& trace = options->trace;
    trace.model = options->text->model;
    trace.data = options->text->Data();
    trace.policy = options->text->Policy();
    trace.raw = options->text->raw;
    trace.n_threads = options->text->n_threads;
    trace.memory_bytes = options->text->MemoryBytes();
    trace.precision = options->text->Precision();
    trace.read_weights = options->weights == "read";
    trace.interventions = PlacedInterventions(options->interventions);
    const auto profile = options->profile.Make(trace.n_threads);
    trace.profile = profile.get();
    const lab::TraceSummary summary = lab::Trace(trace, store::MakeParquetOpener());
    std::vector<lab::ProfileRow> rows;
    if (profile) {
      rows = FinishProfile(options->profile, *profile, files::Checkpoint::Open(trace.model),
                           trace.precision);
    }
    options->json ? PrintJson(trace, summary, rows) : PrintSummary(trace, summary, rows);
  };
}

}  // namespace moescope::cli
