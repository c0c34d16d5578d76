// moescope import FORMAT PATH -o RUN: routes that other programs recorded, as a run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/units.h"
#include "store/import_esft.h"

namespace moescope::cli {
namespace {

struct ImportOptions {
  store::EsftImport esft;
  std::string output;
  std::string memory = "256M";
  bool json = false;
};

void Import(ImportOptions options) {
  options.esft.memory_bytes = ParseBytes(options.memory);
  options.esft.engine_version = MOESCOPE_VERSION;
  store::EsftImportResult result = store::ImportEsft(options.esft, options.output);
  if (options.json) {
    nlohmann::ordered_json report = {{"run", options.output},
                                     {"n_layers", result.n_layers},
                                     {"n_sequences", result.n_sequences},
                                     {"n_tokens", result.n_tokens}};
    fmt::print("{}\n",
               report.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print("{} tokens in {} sequences, {} layers; next: moescope figure table5 {}\n",
             FormatCount(static_cast<uint64_t>(result.n_tokens)),
             FormatCount(static_cast<uint64_t>(result.n_sequences)), result.n_layers,
             options.output);
}

}  // namespace

std::function<void()> AddImport(CLI::App& app) {
  auto options = std::make_shared<ImportOptions>();
  app.require_subcommand(1);
  CLI::App* esft = app.add_subcommand(
      "esft", "expert_weights_<layer>.txt of the ESFT scripts, in a folder or tar file");
  esft->add_option("path", options->esft.path, "Folder or .tar[.gz|.xz|.zst]")->required();
  esft->add_option("-o,--output", options->output, "Run directory to write")->required();
  esft->add_option("--data-name", options->esft.dataset, "Name of the data set (default: folder)");
  esft->add_option("--experts", options->esft.shape.n_experts, "Experts a layer")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  esft->add_option("--experts-per-token", options->esft.shape.experts_per_token, "Experts a token")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  esft->add_option("--memory", options->memory, "Memory for writing")->capture_default_str();
  esft->add_flag("--json", options->json, "Print what was imported as JSON");
  return [options] { Import(*options); };
}

}  // namespace moescope::cli
