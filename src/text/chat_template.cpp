#include "text/chat_template.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/jinja/renderer.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using jinja::Runtime;
using jinja::Value;

std::tm LocalTime() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

// A request's value as the template sees it; texts stay where they are.
Value Convert(Runtime& runtime, const ChatValue& tree, int depth = 0);

Value ConvertText(Runtime& runtime, const std::string& text) {
  if (text.size() > jinja::kMaxValueBytes) {
    runtime.Refuse(fmt::format("expected texts of at most {} bytes in a conversation, found {}",
                               jinja::kMaxValueBytes, text.size()));
  }
  if (FindBrokenUtf8(text) != std::string_view::npos) {
    runtime.Refuse("expected UTF-8 in a conversation, found other bytes");
  }
  return Value::String(text);
}

Value ConvertList(Runtime& runtime, const ChatValue::List& list, int depth) {
  std::vector<Value> items;
  items.reserve(list.size());
  for (const ChatValue& item : list) items.push_back(Convert(runtime, item, depth + 1));
  return runtime.NewList(items);
}

Value ConvertDict(Runtime& runtime, const ChatValue::Dict& dict, int depth) {
  std::vector<jinja::Entry> entries;
  entries.reserve(dict.size());
  for (const auto& [key, value] : dict) {
    entries.push_back({ConvertText(runtime, key), Convert(runtime, value, depth + 1)});
  }
  return runtime.NewDict(entries);
}

Value Convert(Runtime& runtime, const ChatValue& tree, int depth) {
  if (depth > jinja::kMaxValueDepth) {
    runtime.Refuse(fmt::format("expected at most {} levels in a conversation, found more",
                               jinja::kMaxValueDepth));
  }
  return std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>)
          return Value::Boolean(value);
        else if constexpr (std::is_same_v<T, int64_t>)
          return Value::Integer(value);
        else if constexpr (std::is_same_v<T, double>)
          return Value::Float(value);
        else if constexpr (std::is_same_v<T, std::string>)
          return ConvertText(runtime, value);
        else if constexpr (std::is_same_v<T, ChatValue::List>)
          return ConvertList(runtime, value, depth);
        else if constexpr (std::is_same_v<T, ChatValue::Dict>)
          return ConvertDict(runtime, value, depth);
        else
          return Value::None();
      },
      tree.value);
}

void CheckSource(const std::string& source, const std::string& origin) {
  const auto refuse = [&](const std::string& message) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use chat template: {}: {}", origin, message));
  };
  if (source.size() > jinja::kMaxSourceBytes) {
    refuse(
        fmt::format("expected at most {} bytes, found {}", jinja::kMaxSourceBytes, source.size()));
  }
  const size_t broken = FindBrokenUtf8(source);
  if (broken != std::string::npos) {
    refuse(fmt::format("expected UTF-8, found another byte at {}", broken));
  }
  const size_t nul = source.find('\0');
  if (nul != std::string::npos) refuse(fmt::format("expected text, found a NUL at {}", nul));
}

}  // namespace

struct ChatTemplate::Parsed {
  std::unique_ptr<const jinja::Template> tree;
};

ChatTemplate::ChatTemplate(std::string source, std::string origin)
    : source_(std::move(source)), origin_(std::move(origin)) {
  CheckSource(source_, origin_);
  parsed_ = std::make_unique<const Parsed>(Parsed{jinja::ParseTemplate(source_, origin_)});
}

ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::Render(const ChatRequest& request) const {
  jinja::Renderer renderer(*parsed_->tree, origin_, request.now ? request.now : LocalTime);
  Runtime& runtime = renderer.runtime();
  renderer.Set("messages", Convert(runtime, request.messages));
  renderer.Set("tools", Convert(runtime, request.tools));
  renderer.Set("documents", Convert(runtime, request.documents));
  renderer.Set("add_generation_prompt", Value::Boolean(request.add_generation_prompt));
  if (request.bos_token) renderer.Set("bos_token", ConvertText(runtime, *request.bos_token));
  if (request.eos_token) renderer.Set("eos_token", ConvertText(runtime, *request.eos_token));
  for (const auto& [name, value] : request.variables) {
    renderer.Set(name, Convert(runtime, value));
  }
  return renderer.Run();
}

}  // namespace moescope::text
