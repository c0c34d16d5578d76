// moescope convert MODEL -o OUT: any checkpoint we read, as one GGUF file or as a folder in Hugging
// Face's layout.
#include "lab/convert.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/printable.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/writable_type.h"

namespace moescope::cli {
namespace {

struct ConvertOptions {
  std::string model;
  std::string output;
  std::string format;
  std::string type;
  bool json = false;
};

// A name that ends in a slash is a folder's; every other one, a GGUF file's.
bool WantsSafetensors(const ConvertOptions& options) {
  if (!options.format.empty()) return options.format == "safetensors";
  return options.output.ends_with('/');
}

lab::ConvertSummary ConvertToGguf(const ConvertOptions& options,
                                  const files::Checkpoint& checkpoint) {
  DType dtype = options.type.empty() ? DType::kQ8_0 : lab::ParseWritableType(options.type);
  if (std::filesystem::is_directory(options.output)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot write: {}: expected the name of a file, found a directory; use "
                            "-o {}/NAME.gguf, or --to safetensors with the name of a new folder",
                            options.output, options.output));
  }
  return lab::ConvertToGguf(checkpoint, options.output, dtype);
}

lab::ConvertSummary ConvertToSafetensors(const ConvertOptions& options,
                                         const files::Checkpoint& checkpoint) {
  lab::SafetensorsOptions how;
  if (!options.type.empty()) how.dtype = lab::ParseWritableType(options.type);
  return lab::ConvertToSafetensors(checkpoint, options.output, how);
}

void PrintJson(const ConvertOptions& options, const lab::ConvertSummary& summary,
               const std::string& identity) {
  nlohmann::ordered_json report = {{"output", options.output},
                                   {"format", WantsSafetensors(options) ? "safetensors" : "gguf"},
                                   {"type", Name(summary.dtype)},
                                   {"identity", identity},
                                   {"n_tensors", summary.n_tensors},
                                   {"bytes_read", summary.bytes_read},
                                   {"bytes_written", summary.bytes_written},
                                   {"seconds", summary.seconds},
                                   {"files", summary.files},
                                   {"kept", summary.kept},
                                   {"tokenizer", summary.tokenizer_note.empty()}};
  fmt::print("{}\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void PrintSummary(const ConvertOptions& options, const lab::ConvertSummary& summary,
                  const std::string& identity) {
  for (const std::string& line : summary.kept) fmt::print("{}\n", line);
  if (WantsSafetensors(options)) fmt::print("wrote {}\n", fmt::join(summary.files, ", "));
  fmt::print("{}: {} tensors, {}, {} (from {}), {}; identity {}\n", options.output,
             summary.n_tensors, Name(summary.dtype), FormatBytes(summary.bytes_written),
             FormatBytes(summary.bytes_read), FormatSeconds(summary.seconds), identity);
  fmt::print("next:\n  moescope inspect {0}\n  moescope trace -m {0} --data NAME=PATH -o RUN\n",
             options.output);
}

void Convert(const ConvertOptions& options) {
  if (!options.type.empty()) lab::ParseWritableType(options.type);  // before the model is opened
  files::Checkpoint checkpoint = files::Checkpoint::Open(options.model);
  const lab::ConvertSummary summary = WantsSafetensors(options)
                                          ? ConvertToSafetensors(options, checkpoint)
                                          : ConvertToGguf(options, checkpoint);
  const std::string identity = files::Checkpoint::Open(options.output).Identity();
  if (!summary.tokenizer_note.empty()) {
    fmt::print(stderr, "warning: no tokenizer written: {}\n", Printable(summary.tokenizer_note));
  }
  options.json ? PrintJson(options, summary, identity) : PrintSummary(options, summary, identity);
}

}  // namespace

std::function<void()> AddConvert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.add_option("-m,--model,model", options->model, "Model: folder, safetensors or GGUF file")
      ->required();
  app.add_option("-o,--output", options->output,
                 "GGUF file to write, or the folder (a new or an empty one)")
      ->required();
  app.add_option("--to", options->format,
                 "gguf: one file, as llama.cpp's; safetensors: a folder, as transformers'. "
                 "Default: gguf, or safetensors where the output's name ends in /")
      ->check(CLI::IsMember({"gguf", "safetensors"}));
  app.add_option(
      "--type", options->type,
      "Type of the large matrices: q8_0, bf16, f16 or f32. Default: q8_0 for GGUF, where "
      "router and vectors are always f32; for safetensors the type they are stored as, "
      "bf16 where that is quantised");
  app.add_flag("--json", options->json, "Print the summary as JSON");
  return [options] { Convert(*options); };
}

}  // namespace moescope::cli
