#include "lab/eval/task_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace moescope::lab {

using files::JsonValue;

namespace {

// A text, or a number as the text that writes it; null for anything else.
std::string ScalarText(const JsonValue& value, bool& is_scalar) {
  is_scalar = true;
  if (value.kind == JsonValue::Kind::kString) return value.text;
  if (value.kind == JsonValue::Kind::kUnsigned) return std::to_string(value.number);
  is_scalar = false;
  return "";
}

}  // namespace

void TaskRecord::Refuse(std::string_view name, std::string_view expected,
                        std::string_view found) const {
  throw Error(ErrorKind::kBadInput, fmt::format("cannot read item: {}: field '{}': expected {}, "
                                                "found {}",
                                                where_, name, expected, found));
}

const JsonValue& TaskRecord::Get(std::string_view name, std::string_view expected) const {
  const JsonValue* value = value_.Find(name);
  if (value == nullptr) Refuse(name, expected, "no such field");
  return *value;
}

const std::string& TaskRecord::Text(std::string_view name) const {
  const JsonValue& value = Get(name, "a text");
  if (value.kind != JsonValue::Kind::kString) Refuse(name, "a text", value.Shown());
  return value.text;
}

std::vector<std::string> TaskRecord::Texts(std::string_view name) const {
  constexpr std::string_view kExpected = "a list of at least two choices";
  const JsonValue& value = Get(name, kExpected);
  if (value.kind != JsonValue::Kind::kArray || value.items.size() < 2) {
    Refuse(name, kExpected, value.Shown());
  }
  std::vector<std::string> texts;
  for (const JsonValue& item : value.items) {
    if (item.kind != JsonValue::Kind::kString) Refuse(name, "texts in the list", item.Shown());
    texts.push_back(item.text);
  }
  return texts;
}

int TaskRecord::Number(std::string_view name, int low, int high) const {
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  const JsonValue& value = Get(name, expected);
  bool is_scalar = false;
  const std::string text = ScalarText(value, is_scalar);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = is_scalar && error == std::errc() && end == text.data() + text.size();
  if (!whole || number < low || number > high) Refuse(name, expected, value.Shown());
  return number;
}

bool TaskRecord::Boolean(std::string_view name) const {
  const JsonValue& value = Get(name, "true or false");
  if (value.kind != JsonValue::Kind::kBoolean) Refuse(name, "true or false", value.Shown());
  return value.boolean;
}

int TaskRecord::Label(std::string_view name, const std::vector<std::string>& labels) const {
  const std::string expected = fmt::format("one of {}", fmt::join(labels, ", "));
  const JsonValue& value = Get(name, expected);
  bool is_scalar = false;
  const auto found = std::find(labels.begin(), labels.end(), ScalarText(value, is_scalar));
  if (!is_scalar || found == labels.end()) Refuse(name, expected, value.Shown());
  return static_cast<int>(found - labels.begin());
}

std::string TaskRecord::Unit() const {
  const JsonValue* unit = Find("unit");
  return unit != nullptr && unit->kind == JsonValue::Kind::kString ? unit->text : where_;
}

}  // namespace moescope::lab
