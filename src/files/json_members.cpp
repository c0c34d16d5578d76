#include "files/json_members.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::files {
namespace {

const JsonValue kNullValue;

}  // namespace

JsonMembers::JsonMembers(const JsonValue& value, std::string where, const std::string& path)
    : value_(value), where_(std::move(where)), path_(path) {
  if (value.kind != JsonValue::Kind::kObject) Corrupt("", "an object", value.Shown());
}

bool JsonMembers::Has(const std::string& key) const {
  return value_.Find(key) != nullptr;
}

std::string JsonMembers::Where(const std::string& key) const {
  if (where_.empty() || key.empty()) return key.empty() ? where_ : key;
  return where_ + "." + key;
}

void JsonMembers::Corrupt(const std::string& key, std::string_view expected,
                          std::string_view found) const {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read tokenizer: {}: {}: expected {}, found {}", path_,
                          Where(key).substr(0, 200), expected, found));
}

void JsonMembers::Unsupported(const std::string& key, std::string_view supported,
                              std::string_view found) const {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot use tokenizer: {}: {}: supported is {}, found {}", path_,
                          Where(key).substr(0, 200), supported, found));
}

const JsonValue& JsonMembers::AnyOrNull(const std::string& key) {
  asked_.insert(key);
  const JsonValue* value = value_.Find(key);
  return value == nullptr ? kNullValue : *value;
}

const JsonValue& JsonMembers::Any(const std::string& key) {
  if (!Has(key)) Corrupt(key, "a value", "no such member");
  return AnyOrNull(key);
}

bool JsonMembers::Boolean(const std::string& key, std::optional<bool> fallback) {
  const JsonValue& value = AnyOrNull(key);
  if (value.IsNull() && fallback) return *fallback;
  if (value.kind != JsonValue::Kind::kBoolean) Corrupt(key, "true or false", value.Shown());
  return value.boolean;
}

std::string JsonMembers::Text(const std::string& key) {
  const JsonValue& value = Any(key);
  if (value.kind != JsonValue::Kind::kString) Corrupt(key, "a string", value.Shown());
  return value.text;
}

std::string JsonMembers::TextOr(const std::string& key, const std::string& fallback) {
  return AnyOrNull(key).IsNull() ? fallback : Text(key);
}

uint64_t JsonMembers::Unsigned(const std::string& key, uint64_t high) {
  const JsonValue& value = Any(key);
  if (value.kind != JsonValue::Kind::kUnsigned || value.number > high) {
    Corrupt(key, fmt::format("an integer from 0 to {}", high), value.Shown());
  }
  return value.number;
}

const std::vector<JsonValue>& JsonMembers::List(const std::string& key) {
  const JsonValue& value = Any(key);
  if (value.kind != JsonValue::Kind::kArray) Corrupt(key, "a list", value.Shown());
  return value.items;
}

void JsonMembers::RefuseOthers() const {
  for (const JsonValue& member : value_.items) {
    if (!asked_.contains(member.key)) {
      Unsupported(member.key.substr(0, 100), "no such member", member.Shown());
    }
  }
}

}  // namespace moescope::files
