// Where a checkpoint keeps its chat template: the source of it, and the tokens it may write.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "files/folder.h"

namespace moescope::files {

// The key of a GGUF file's metadata that holds a template.
inline constexpr const char* kGgufChatTemplateKey = "tokenizer.chat_template";

// What tokenizer_config.json says beside the template; nothing where it says nothing.
struct ChatTokens {
  std::optional<std::string> bos_token, eos_token;
};

// The source in chat_template.jinja, else that in tokenizer_config.json: its member
// `chat_template`, or the one named "default" where that is a list. Nothing when there is none.
// Throws Error(kCorrupt) for what is not JSON, Error(kBadInput) for files beyond their limits and
// members of the wrong type, as Folder::ReadText otherwise.
std::optional<std::string> FindChatTemplate(const Folder& folder);

// Of tokenizer_config.json: strings, or objects with `content`. Throws as FindChatTemplate.
ChatTokens FindChatTokens(const Folder& folder);

}  // namespace moescope::files
