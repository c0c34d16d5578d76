// Chat templates: how a model writes down a conversation before it becomes tokens. The language is
// the part of Jinja that published templates use; what is supported and bounded, and how that is
// checked: docs/chat-templates.md.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/chat_value.h"

namespace moescope::text {

// What a template is given: names and meaning as in transformers' apply_chat_template.
struct ChatRequest {
  ChatValue
      messages;  // a list of dicts with `role` and `content`, and whatever else the model knows
  bool add_generation_prompt = false;
  std::optional<std::string> bos_token, eos_token;           // nothing: undefined
  ChatValue tools, documents;                                // none unless given
  std::vector<std::pair<std::string, ChatValue>> variables;  // any others; they win over the above
  // Local time, for strftime_now; empty: the clock's.
  std::function<std::tm()> now;
};

// Immutable and thread-safe.
class ChatTemplate {
 public:
  // `origin` names the template in errors.
  // Throws Error(kBadInput) for what is no template of at most 1 MiB of UTF-8 without NUL,
  // Error(kUnsupported) for statements, filters and tests that are not known; both name the line.
  explicit ChatTemplate(std::string source, std::string origin = "template");
  ~ChatTemplate();

  // The source as it was given.
  const std::string& source() const { return source_; }

  // The text of a conversation. Bounded in time and memory whatever the template: seconds and a
  // quarter of a gigabyte at the very most.
  // Throws Error(kBadInput) for what the template refuses (raise_exception), does wrong, or spends
  // beyond its bounds, Error(kUnsupported); both name the line.
  std::string Render(const ChatRequest& request) const;

 private:
  struct Parsed;
  std::string source_, origin_;
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace moescope::text
