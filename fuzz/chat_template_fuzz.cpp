// Any bytes as a chat template: refused with an Error, or a small conversation can be rendered, the
// same twice, as valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "text/chat_template.h"
#include "text/utf8.h"

namespace {

const moescope::text::ChatRequest& Conversation() {
  using moescope::text::ParseChatValue;
  static const moescope::text::ChatRequest kRequest = [] {
    moescope::text::ChatRequest request;
    request.messages = ParseChatValue(
        R"([{"role": "system", "content": " S "}, {"role": "user", "content": "<b>\u00e9\ud83d\ude00"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "function":
             {"name": "f", "arguments": {"x": [1, 2.5, true]}}}]}, {"role": "tool", "content": "3"}])",
        "messages");
    request.tools = ParseChatValue(R"([{"type": "function", "function": {"name": "f"}}])", "tools");
    request.add_generation_prompt = true;
    request.bos_token = "<s>";
    request.eos_token = "</s>";
    request.now = [] { return std::tm{}; };
    return request;
  }();
  return kRequest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    const text::ChatTemplate chat(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    const std::string once = chat.Render(Conversation());
    if (text::FindBrokenUtf8(once) != std::string::npos) std::abort();
    if (chat.Render(Conversation()) != once) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadInput && error.kind() != ErrorKind::kUnsupported)
      std::abort();
  }
  return 0;
}
