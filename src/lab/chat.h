// Conversations as tokens: the model's chat template, rendered and encoded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lab/text_model.h"
#include "text/chat_template.h"
#include "text/document.h"

namespace moescope::lab {

struct ChatTurn {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Throws Error(kBadInput) when the model has no template, and as ChatTemplate for one that cannot
// be used.
std::shared_ptr<const text::ChatTemplate> OpenChatTemplate(const TextModel& opened);

// Hands the model's template to each data set, so that `messages` become documents. A model without
// one, or with one that cannot be used, leaves them as they are: records say so when they need it.
void UseChatTemplate(const TextModel& opened, std::vector<text::DataSpec>& specs);

// The tokens of a conversation, up to where the assistant goes on. BOS is there once.
// Throws Error as ChatTemplate::Render.
std::vector<int32_t> TokeniseChat(const TextModel& opened, const text::ChatTemplate& chat_template,
                                  const std::vector<ChatTurn>& turns);

}  // namespace moescope::lab
