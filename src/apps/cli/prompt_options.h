// The text that a command gives to a model: -p, -f, --bos.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/text_model.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct PromptOptions {
  std::string prompt, file, bos = "auto";
};

void AddPromptOptions(CLI::App& app, PromptOptions& options);

// Throws Error(kBadInput) when both or none of -p and -f say something, kNotFound, kIo.
std::string ReadPrompt(const PromptOptions& options);
// The tokens of `text`, BOS first where the model wants it or --bos says so.
// Throws Error(kBadInput) when there is no token.
std::vector<int32_t> TokeniseText(const std::string& text, const PromptOptions& options,
                                  const lab::TextModel& opened);
// The same of the text that the options give. Throws Error as both.
std::vector<int32_t> TokenisePrompt(const PromptOptions& options, const lab::TextModel& opened);

}  // namespace moescope::cli
