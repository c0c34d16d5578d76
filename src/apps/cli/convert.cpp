// moescope convert MODEL -o OUT.gguf: any checkpoint we read, as one GGUF file.
#include "lab/convert.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/units.h"

namespace moescope::cli {
namespace {

struct ConvertOptions {
  std::string model;
  std::string output;
  std::string type = "q8_0";
  bool json = false;
};

void Convert(const ConvertOptions& options) {
  DType dtype = lab::ParseWritableType(options.type);
  if (std::filesystem::is_directory(options.output)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot write: {}: expected the name of a file, found a directory; use "
                            "-o {}/NAME.gguf",
                            options.output, options.output));
  }
  files::Checkpoint checkpoint = files::Checkpoint::Open(options.model);
  lab::ConvertSummary summary = lab::ConvertToGguf(checkpoint, options.output, dtype);
  std::string identity = files::Checkpoint::Open(options.output).Identity();
  if (options.json) {
    nlohmann::ordered_json report = {{"output", options.output},
                                     {"type", Name(dtype)},
                                     {"identity", identity},
                                     {"n_tensors", summary.n_tensors},
                                     {"bytes_read", summary.bytes_read},
                                     {"bytes_written", summary.bytes_written},
                                     {"seconds", summary.seconds},
                                     {"kept", summary.kept}};
    fmt::print("{}\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const std::string& line : summary.kept) fmt::print("{}\n", line);
  if (checkpoint.vocabulary() == nullptr) {
    fmt::print("no tokenizer inside: {}\n", checkpoint.tokenizer_note());
  }
  fmt::print("{}: {} tensors, {} (from {}), {}; identity {}\n", options.output, summary.n_tensors,
             FormatBytes(summary.bytes_written), FormatBytes(summary.bytes_read),
             FormatSeconds(summary.seconds), identity);
}

}  // namespace

std::function<void()> AddConvert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.add_option("-m,--model,model", options->model, "Model: folder, safetensors or GGUF file")
      ->required();
  app.add_option("-o,--output", options->output, "GGUF file to write")->required();
  app.add_option(
         "--type", options->type,
         "Type of the large matrices: q8_0, bf16, f16 or f32; router and norms are always f32")
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print the summary as JSON");
  return [options] { Convert(*options); };
}

}  // namespace moescope::cli
