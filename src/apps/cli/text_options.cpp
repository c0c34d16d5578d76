#include "apps/cli/text_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "lab/precision_note.h"

namespace moescope::cli {

void AddDataOptions(CLI::App& app, TextOptions& options) {
  app.add_option("--data", options.data,
                 "NAME=PATH, repeatable: .txt .jsonl .parquet (also .gz .xz .zst), a folder, or -")
      ->required();
  app.add_option(
      "--unit-by", options.unit_by,
      "NAME=FIELD, repeatable: what statistics resample in a data set; NAME=-: one unit");
  app.add_option("--template", options.text_template,
                 "text of a document from its fields, as '{instruction}\\n{response}'");
  app.add_flag("--raw", options.raw, "keep CR LF and a byte order mark");
}

std::shared_ptr<TextOptions> AddTextOptions(CLI::App& app) {
  auto options = std::make_shared<TextOptions>();
  app.add_option("-m,--model", options->model, "checkpoint: a GGUF file or a folder")->required();
  AddDataOptions(app, *options);
  app.add_option("--bos", options->bos, "where BOS goes")
      ->check(CLI::IsMember({"document", "none", "stream"}))
      ->capture_default_str();
  app.add_option("--specials", options->specials,
                 "what <s> or <|im_start|> in a text is: text, or tokens (default: as the "
                 "tokenizer's own format has it)")
      ->check(CLI::IsMember({"text", "tokens"}));
  app.add_option("--add-prefix-space", options->add_prefix_space,
                 "a space before a text that begins with none; auto: as the tokenizer says")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  app.add_option("--chunk", options->chunk, "longest sequence in tokens (default: the context)")
      ->check(CLI::Range(2, 1 << 24));
  app.add_option("--max-tokens", options->max_tokens, "stop after so many tokens")
      ->check(CLI::PositiveNumber);
  app.add_option(
         "--precision", options->precision,
         "exact; fast: activations rounded where they meet quantised weights; auto: fast for "
         "models stored quantised")
      ->check(CLI::IsMember({"auto", "exact", "fast"}))
      ->capture_default_str();
  app.add_option("--memory", options->memory, "memory to use, such as 96M or 2G");
  app.add_option("-t,--threads", options->n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  return options;
}

std::vector<text::DataSpec> TextOptions::Data() const {
  std::vector<text::DataSpec> specs;
  for (const std::string& argument : data) {
    specs.push_back(text::ParseDataSpec(argument));
    specs.back().text_template = text_template;
    specs.back().raw = raw;
  }
  for (const std::string& argument : unit_by) {
    size_t equals = argument.find('=');
    std::string name = argument.substr(0, equals);
    auto spec = std::find_if(specs.begin(), specs.end(), [&](const text::DataSpec& candidate) {
      return candidate.name == name;
    });
    if (equals == std::string::npos || equals + 1 == argument.size() || spec == specs.end()) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("--unit-by: expected NAME=FIELD or NAME=- with the name of a data set, "
                      "found '{}'",
                      argument));
    }
    spec->unit_field = argument.substr(equals + 1);
  }
  return specs;
}

text::SequencePolicy TextOptions::Policy() const {
  text::SequencePolicy policy;
  policy.bos = bos == "none"     ? text::BosPolicy::kNone
               : bos == "stream" ? text::BosPolicy::kStream
                                 : text::BosPolicy::kDocument;
  policy.encode.specials = specials == "text"     ? text::Specials::kAsText
                           : specials == "tokens" ? text::Specials::kRecognised
                                                  : text::Specials::kByFormat;
  policy.encode.space_prefix = add_prefix_space == "on"    ? text::SpacePrefix::kOn
                               : add_prefix_space == "off" ? text::SpacePrefix::kOff
                                                           : text::SpacePrefix::kByFormat;
  policy.chunk = chunk;
  policy.max_tokens = max_tokens;
  return policy;
}

engine::Precision TextOptions::Precision() const {
  return lab::ChoosePrecision(precision, model);
}

uint64_t TextOptions::MemoryBytes() const {
  if (memory.empty()) return 0;
  uint64_t bytes = ParseBytes(memory);
  if (bytes == 0) throw Error(ErrorKind::kBadInput, "--memory: expected more than 0 bytes");
  return bytes;
}

}  // namespace moescope::cli
