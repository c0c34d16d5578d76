// moescope eval make-cloze: a task with choices out of any text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/cli/evaluations/evaluation.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/text_options.h"
#include "base/platform/durable_file.h"
#include "base/units.h"
#include "lab/eval/cloze.h"
#include "store/parquet_documents.h"

namespace moescope::cli {
namespace {

struct ClozeCommand {
  TextOptions text;
  lab::ClozeOptions cloze;
  std::string output;
  bool json = false;
};

void Run(ClozeCommand options) {
  options.cloze.data = options.text.Data();
  const std::vector<lab::ClozeItem> items =
      lab::MakeCloze(options.cloze, store::MakeParquetOpener());
  const std::string lines = lab::FormatCloze(items);
  if (options.output == "-") return PrintText(lines);
  ReplaceFile(options.output, std::as_bytes(std::span(lines)));
  std::set<std::pair<std::string, std::string>> units;
  for (const lab::ClozeItem& item : items) units.emplace(item.dataset, item.unit);
  if (options.json) {
    const nlohmann::ordered_json result = {{"rows", nlohmann::ordered_json::array()},
                                           {"output", options.output},
                                           {"items", items.size()},
                                           {"units", units.size()},
                                           {"choices", options.cloze.n_choices},
                                           {"seed", options.cloze.seed}};
    return PrintText(result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  PrintText(
      fmt::format("{}: {} items of {} units, {} choices each\nnext: moescope eval choice -m "
                  "MODEL --data {}\n",
                  options.output, FormatCount(items.size()), FormatCount(units.size()),
                  options.cloze.n_choices, options.output));
}

}  // namespace

std::function<void()> AddEvalMakeCloze(CLI::App& app) {
  auto options = std::make_shared<ClozeCommand>();
  lab::ClozeOptions& cloze = options->cloze;
  AddDataOptions(app, options->text);
  app.add_option("-o,--output", options->output, "file to write, .jsonl; -: standard output")
      ->required();
  app.add_option("--items", cloze.n_items, "items, data sets in turn")->capture_default_str();
  app.add_option("--choices", cloze.n_choices, "choices of an item")->capture_default_str();
  app.add_option("--context-bytes", cloze.context_bytes, "text before the choices, about")
      ->capture_default_str();
  app.add_option("--choice-bytes", cloze.choice_bytes, "text of a choice, about")
      ->capture_default_str();
  app.add_option("-s,--seed", cloze.seed, "Seed of the drawing")->capture_default_str();
  app.add_flag("--json", options->json, "what was written, as JSON");
  return [options] { Run(*options); };
}

}  // namespace moescope::cli
