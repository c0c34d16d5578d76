#include "text/chat_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace moescope::text {

const ChatValue* ChatValue::Find(std::string_view key) const {
  const Dict* entries = dict();
  if (entries == nullptr) return nullptr;
  const auto at = std::find_if(entries->begin(), entries->end(),
                               [&](const auto& entry) { return entry.first == key; });
  return at == entries->end() ? nullptr : &at->second;
}

void ChatValueBuilder::RefuseInteger() const {
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("cannot read {}: expected integers of 64 bits, found a larger one", where_));
}

void ChatValueBuilder::Unsigned(uint64_t value) {
  if (value > uint64_t{std::numeric_limits<int64_t>::max()}) RefuseInteger();
  Add(static_cast<int64_t>(value));
}

void ChatValueBuilder::Other(std::string_view what) {
  if (what == "null") return Add({});
  if (what == "true" || what == "false") return Add(what == "true");
  if (what.find_first_of(".eE") != std::string_view::npos) {
    return Add(std::strtod(std::string(what).c_str(), nullptr));
  }
  int64_t integer = 0;
  const auto [end, error] = std::from_chars(what.data(), what.data() + what.size(), integer);
  if (error != std::errc() || end != what.data() + what.size()) RefuseInteger();
  Add(integer);
}

void ChatValueBuilder::Open(ChatValue container) {
  open_.push_back(std::move(container));
  keys_.emplace_back();
}

void ChatValueBuilder::Close() {
  ChatValue whole = std::move(open_.back());
  open_.pop_back();
  keys_.pop_back();
  Add(std::move(whole));
}

void ChatValueBuilder::Add(ChatValue value) {
  constexpr size_t kMaxValues = size_t{1} << 20;
  if (++n_values_ > kMaxValues) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot read {}: expected at most {} values, found more", where_, kMaxValues));
  }
  if (open_.empty()) {
    root_ = std::move(value);
  } else if (auto* list = std::get_if<ChatValue::List>(&open_.back().value)) {
    list->push_back(std::move(value));
  } else {
    std::get<ChatValue::Dict>(open_.back().value)
        .emplace_back(std::move(keys_.back()), std::move(value));
  }
}

ChatValue ParseChatValue(std::string_view json, const std::string& where) {
  ChatValueBuilder builder(where);
  files::ReadJson(json, where, builder, 0, json.size());
  return builder.Take();
}

}  // namespace moescope::text
