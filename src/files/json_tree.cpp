#include "files/json_tree.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::files {
namespace {

constexpr size_t kMaxValues = size_t{1} << 20;

}  // namespace

const JsonValue* JsonValue::Find(std::string_view name) const {
  for (const JsonValue& item : items) {
    if (kind == Kind::kObject && item.key == name) return &item;
  }
  return nullptr;
}

std::string JsonValue::Shown() const {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBoolean:
      return boolean ? "true" : "false";
    case Kind::kUnsigned:
      return std::to_string(number);
    case Kind::kOtherNumber:
      return text.substr(0, 40);
    case Kind::kString:
      return fmt::format("'{}'", text.substr(0, 100));
    case Kind::kArray:
      return "a list";
    case Kind::kObject:
      return "an object";
  }
  return "";
}

JsonValue& JsonTreeBuilder::Add(JsonValue::Kind kind) {
  if (++n_values_ > kMaxValues) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read JSON: {}: expected at most {} values", path_, kMaxValues));
  }
  JsonValue& value = open_.empty() ? root_ : open_.back()->items.emplace_back();
  if (!open_.empty() && open_.back()->kind == JsonValue::Kind::kObject) value.key = key_;
  value.kind = kind;
  return value;
}

void JsonTreeBuilder::Open(JsonValue::Kind kind) {
  open_.push_back(&Add(kind));
}

void JsonTreeBuilder::String(const std::string& value) {
  Add(JsonValue::Kind::kString).text = value;
}

void JsonTreeBuilder::Unsigned(uint64_t value) {
  Add(JsonValue::Kind::kUnsigned).number = value;
}

void JsonTreeBuilder::Other(std::string_view what) {
  if (what == "null") {
    Add(JsonValue::Kind::kNull);
  } else if (what == "true" || what == "false") {
    Add(JsonValue::Kind::kBoolean).boolean = what == "true";
  } else {
    Add(JsonValue::Kind::kOtherNumber).text = what;
  }
}

JsonValue ReadJsonTree(std::string_view text, const std::string& path) {
  JsonTreeBuilder builder(path);
  ReadJson(text, path, builder);
  return builder.Take();
}

}  // namespace moescope::files
