// moescope ablate: what the loss becomes when routing is changed, expert by expert or otherwise.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/cli/ablate_targets.h"
#include "apps/cli/ablation_result.h"
#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/picture_options.h"
#include "apps/cli/text_options.h"
#include "base/units.h"
#include "lab/ablate.h"
#include "lab/forced_routes.h"
#include "lab/intervention_probe.h"
#include "store/parquet_documents.h"
#include "study/figures/ablation_figure.h"

namespace moescope::cli {
namespace {

struct AblateOptions {
  std::shared_ptr<TextOptions> text;
  AblateTargets targets;
  int64_t wave_tokens = 0;
  study::BootstrapOptions bootstrap;
  std::string colour = "auto";
  PictureFiles pictures;
  bool json = false, csv = false;
};

void AddCost(const lab::Ablation& ablation, study::FigureTable& table) {
  table.about = {{"branches", int64_t{ablation.n_branches}},
                 {"waves", ablation.n_waves},
                 {"wave_rows", ablation.wave_rows},
                 {"flops", ablation.flops},
                 {"flops_one_by_one", ablation.flops_one_by_one},
                 {"weight_bytes_read", static_cast<int64_t>(ablation.weight_bytes)},
                 {"model_bytes", static_cast<int64_t>(ablation.model_bytes)},
                 {"seconds", ablation.seconds}};
}

std::string CostText(const lab::Ablation& ablation) {
  const int n_runs = ablation.n_branches + 1;
  return fmt::format(
      "{} branches beside the baseline in {}: {:.3g} TFLOP, {:.0f} % of {} runs one by one;\n"
      "weights read {} time{} ({}), one by one at least {} times\n",
      ablation.n_branches, FormatSeconds(ablation.seconds), ablation.flops / 1e12,
      100 * ablation.flops / ablation.flops_one_by_one, n_runs, ablation.n_waves,
      ablation.n_waves == 1 ? "" : "s", FormatBytes(ablation.weight_bytes), n_runs);
}

// A panel's title names its data set, all of them too.
study::FigureTable ForPictures(study::FigureTable table) {
  const auto dataset = static_cast<size_t>(
      std::find(table.columns.begin(), table.columns.end(), "dataset") - table.columns.begin());
  for (std::vector<study::Cell>& row : table.rows) {
    if (std::holds_alternative<std::monostate>(row[dataset])) row[dataset] = "all together";
  }
  return table;
}

void RunAblate(const AblateOptions& options) {
  const TextOptions& text = *options.text;
  const lab::TextModel opened = lab::OpenTextModel(text.model, lab::SweepModel(text.MemoryBytes()));
  const routing::RoutedModel model = lab::RoutedModelOf(*opened.model);
  std::vector<routing::Intervention> interventions = TargetsOf(options.targets, model);
  const auto forced = lab::OpenForced(interventions, *opened.model);
  const lab::Ablation ablation = lab::Ablate(opened, interventions,
                                             {.data = text.Data(),
                                              .policy = text.Policy(),
                                              .raw = text.raw,
                                              .n_threads = text.n_threads,
                                              .memory_bytes = text.MemoryBytes(),
                                              .wave_tokens = options.wave_tokens,
                                              .forced = forced.get(),
                                              .precision = text.Precision()},
                                             store::MakeParquetOpener());
  ThreadPool pool(text.n_threads);
  const std::vector<study::AblationRow> rows =
      study::AblationTable(DatasetsOf(ablation), ablation.n_branches, options.bootstrap, pool);
  const study::Statement statement = StatementOf(ablation, options.bootstrap);
  study::FigureTable table = study::AblationFigure(rows, interventions, model);
  AddCost(ablation, table);
  const bool drawn = WritePictures(options.pictures, ForPictures(table), statement,
                                   "What the loss becomes without experts");
  if (options.json) {
    PrintText(study::FigureJson(table, statement));
  } else if (options.csv) {
    PrintText(study::FigureCsv(table));
  } else if (!drawn) {
    const study::TerminalStyle style = StyleOf(options.colour);
    PrintText(study::AblationText(rows, interventions, model, style) + "\n" + CostText(ablation) +
              "\n" + study::StatementText(statement, style));
  }
}

}  // namespace

std::function<void()> AddAblate(CLI::App& app) {
  auto options = std::make_shared<AblateOptions>();
  AblateTargets& targets = options->targets;
  targets.modes = {"mask"};
  options->text = AddTextOptions(app);
  app.add_option("--mode", targets.modes,
                 "mask, zero, drop, swap:E, top-k=N, skip:B, bias=B, temperature=T, force=RUN or "
                 "force-weights=RUN; several run side by side; MODE@1:3,5:0 says itself where it "
                 "holds")
      ->capture_default_str();
  app.add_flag("--hunt", targets.hunt, "remove each expert from all layers (or those of --layers)");
  app.add_option("--cells", targets.cells,
                 "LAYER:EXPERT,...: each of them and all together; or all: each one there is");
  app.add_option("--expert,--experts", targets.experts, "experts: 3, 0,2-5 or all");
  app.add_option("--layers", targets.layers, "layers: 0,3-5 or all (default)");
  app.add_option("--samples", options->bootstrap.n_samples, "Bootstrap resamples")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-s,--seed", options->bootstrap.seed, "Seed of resamples")->capture_default_str();
  app.add_option("--wave-tokens", options->wave_tokens,
                 "rows of a wave at most, those of branches counted (default: what memory allows)")
      ->check(CLI::PositiveNumber);
  app.add_option("--color,--colour", options->colour,
                 "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  AddPictureOptions(app, options->pictures);
  auto* json = app.add_flag("--json", options->json, "Rows and statement as JSON");
  app.add_flag("--csv", options->csv, "Rows as CSV")->excludes(json);
  return [options] { RunAblate(*options); };
}

}  // namespace moescope::cli
