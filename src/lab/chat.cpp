#include "lab/chat.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"

namespace moescope::lab {
namespace {

// How a template writes a token of the vocabulary.
std::optional<std::string> Spelling(const text::Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::nullopt : std::optional(tokenizer.TokenText(id));
}

}  // namespace

std::shared_ptr<const text::ChatTemplate> OpenChatTemplate(const TextModel& opened) {
  const files::Checkpoint& checkpoint = opened.model->checkpoint();
  if (!checkpoint.chat_template()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot chat: {}: expected a chat template (chat_template.jinja, "
                            "tokenizer_config.json, or tokenizer.chat_template in GGUF), found "
                            "none; `run -p` goes on from a plain text",
                            checkpoint.path()));
  }
  return std::make_shared<const text::ChatTemplate>(*checkpoint.chat_template(),
                                                    checkpoint.path() + ": chat template");
}

void UseChatTemplate(const TextModel& opened, std::vector<text::DataSpec>& specs) {
  if (!opened.model->checkpoint().chat_template()) return;
  std::shared_ptr<const text::ChatTemplate> chat_template;
  try {
    chat_template = OpenChatTemplate(opened);
  } catch (const Error&) {
    return;
  }
  for (text::DataSpec& spec : specs) {
    spec.chat_template = chat_template;
    spec.bos_token = Spelling(*opened.tokenizer, opened.tokenizer->bos_id());
    spec.eos_token = Spelling(*opened.tokenizer, opened.tokenizer->eos_id());
  }
}

std::vector<int32_t> TokeniseChat(const TextModel& opened, const text::ChatTemplate& chat_template,
                                  const std::vector<ChatTurn>& turns) {
  const text::Tokenizer& tokenizer = *opened.tokenizer;
  text::ChatValue::List messages;
  for (const ChatTurn& turn : turns) {
    messages.push_back(
        text::ChatValue::Dict{{"role", turn.role}, {"content", text::ChatValue(turn.content)}});
  }
  const text::ChatRequest request{.messages = std::move(messages),
                                  .add_generation_prompt = true,
                                  .bos_token = Spelling(tokenizer, tokenizer.bos_id()),
                                  .eos_token = Spelling(tokenizer, tokenizer.eos_id()),
                                  .tools = {},
                                  .documents = {},
                                  .variables = {},
                                  .now = {}};
  text::Encoding encoding;
  tokenizer.Encode(chat_template.Render(request), {.specials = text::Specials::kRecognised},
                   encoding);
  std::vector<int32_t>& ids = encoding.ids;
  const bool has_bos = !ids.empty() && ids[0] == tokenizer.bos_id();
  if (!has_bos && tokenizer.adds_bos() && tokenizer.bos_id() >= 0) {
    ids.insert(ids.begin(), tokenizer.bos_id());
  }
  return ids;
}

}  // namespace moescope::lab
