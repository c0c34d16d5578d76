#include "apps/cli/prompt_options.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>

#include "base/error.h"
#include "base/platform/file.h"

namespace moescope::cli {

void AddPromptOptions(CLI::App& app, PromptOptions& options) {
  app.add_option("-p,--prompt", options.prompt, "the text");
  app.add_option("-f,--file", options.file, "file with the text; -: standard input");
  app.add_option("--bos", options.bos, "BOS before the text")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
}

std::string ReadPrompt(const PromptOptions& options) {
  constexpr uint64_t kMaxPromptBytes = uint64_t{64} << 20;
  if (options.file.empty()) return options.prompt;
  if (!options.prompt.empty()) {
    throw Error(ErrorKind::kBadInput, "give a prompt with -p or a file with -f, not both");
  }
  if (options.file != "-") return ReadWholeFile(options.file, kMaxPromptBytes);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::vector<int32_t> TokeniseText(const std::string& text, const PromptOptions& options,
                                  const lab::TextModel& opened) {
  const text::Tokenizer& tokenizer = *opened.tokenizer;
  text::Encoding encoding;
  tokenizer.Encode(text, encoding);
  std::vector<int32_t> ids;
  const bool wanted = options.bos == "on" || (options.bos == "auto" && tokenizer.adds_bos());
  if (wanted && tokenizer.bos_id() >= 0) ids.push_back(tokenizer.bos_id());
  ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
  if (!ids.empty()) return ids;
  throw Error(ErrorKind::kBadInput,
              "the prompt is empty and the tokenizer has no BOS: give some text with -p or -f");
}

std::vector<int32_t> TokenisePrompt(const PromptOptions& options, const lab::TextModel& opened) {
  return TokeniseText(ReadPrompt(options), options, opened);
}

}  // namespace moescope::cli
