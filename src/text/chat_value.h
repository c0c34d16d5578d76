// JSON as a tree that keeps the order of its keys: what a chat template gets to see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "files/json_events.h"

namespace moescope::text {

struct ChatValue {
  using List = std::vector<ChatValue>;
  using Dict = std::vector<std::pair<std::string, ChatValue>>;  // no key twice
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, List, Dict> value = nullptr;

  ChatValue() = default;
  ChatValue(bool boolean) : value(boolean) {}
  ChatValue(int64_t integer) : value(integer) {}
  ChatValue(double number) : value(number) {}
  ChatValue(std::string text) : value(std::move(text)) {}
  ChatValue(const char* text) : value(std::string(text)) {}
  ChatValue(List list) : value(std::move(list)) {}
  ChatValue(Dict dict) : value(std::move(dict)) {}

  const List* list() const { return std::get_if<List>(&value); }
  const Dict* dict() const { return std::get_if<Dict>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  // Null when there is no such key, or this is no dict.
  const ChatValue* Find(std::string_view key) const;
};

// Builds a tree from the events of one JSON value, which ReadJson has bounded in depth.
// Throws Error(kBadInput) for more than 2^20 values, Error(kUnsupported) for integers beyond 64
// bits.
class ChatValueBuilder : public files::JsonHandler {
 public:
  // `where` names the value in errors.
  explicit ChatValueBuilder(std::string where) : where_(std::move(where)) {}

  void BeginObject() override { Open(ChatValue::Dict()); }
  void EndObject() override { Close(); }
  void BeginArray() override { Open(ChatValue::List()); }
  void EndArray() override { Close(); }
  void Key(const std::string& key) override { keys_.back() = key; }
  void String(const std::string& value) override { Add(value); }
  void Unsigned(uint64_t value) override;
  void Other(std::string_view what) override;

  // Whether the value is complete.
  bool done() const { return open_.empty() && n_values_ > 0; }
  ChatValue Take() { return std::move(root_); }

 private:
  void Open(ChatValue container);
  void Close();
  void Add(ChatValue value);
  [[noreturn]] void RefuseInteger() const;

  std::string where_;
  ChatValue root_;
  std::vector<ChatValue> open_;    // containers that are being filled
  std::vector<std::string> keys_;  // of each, the key that comes next
  size_t n_values_ = 0;
};

// Throws as ReadJson and ChatValueBuilder.
ChatValue ParseChatValue(std::string_view json, const std::string& where);

}  // namespace moescope::text
