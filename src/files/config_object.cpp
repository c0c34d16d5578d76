#include "files/config_object.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/json_events.h"
#include "files/limits.h"

namespace moescope::files {

using nlohmann::json;

const json* ConfigObject::Find(const char* key) const {
  auto at = object_.find(key);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

int ConfigObject::Integer(const char* key, int64_t low, int64_t high) const {
  const json* value = Find(key);
  if (value == nullptr) Refuse(key, fmt::format("an integer from {} to {}", low, high), "nothing");
  return Checked(key, *value, low, high);
}

int ConfigObject::IntegerOr(const char* key, int64_t low, int64_t high, int fallback) const {
  const json* value = Find(key);
  return value == nullptr ? fallback : Checked(key, *value, low, high);
}

double ConfigObject::Number(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr || !value->is_number()) Refuse(key, "a number", Found(value));
  return value->get<double>();
}

double ConfigObject::NumberOr(const char* key, double fallback) const {
  return Find(key) == nullptr ? fallback : Number(key);
}

bool ConfigObject::BooleanOr(const char* key, bool fallback) const {
  const json* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) Refuse(key, "true or false", Found(value));
  return value->get<bool>();
}

std::string ConfigObject::TextOr(const char* key, const std::string& fallback) const {
  const json* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) Refuse(key, "a string", Found(value));
  return value->get<std::string>();
}

std::vector<int> ConfigObject::TokenIds(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {Checked(key, *value, 0, kMaxVocabSize - 1)};
  constexpr size_t kMaxIds = 1000;  // published models have up to ten
  if (value->empty() || value->size() > kMaxIds) {
    Refuse(key, fmt::format("1 to {} token ids", kMaxIds), std::to_string(value->size()));
  }
  std::vector<int> ids;
  for (const json& id : *value) ids.push_back(Checked(key, id, 0, kMaxVocabSize - 1));
  return ids;
}

int ConfigObject::TokenIdOr(const char* key, int fallback) const {
  const std::vector<int> ids = TokenIds(key);
  return ids.empty() ? fallback : ids.front();
}

void ConfigObject::Refuse(const std::string& key, const std::string& expected,
                          const std::string& found) const {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use configuration: {}: {}: expected {}, found {}", path_, key,
                          expected, found));
}

void ConfigObject::Unsupported(const std::string& key, const std::string& supported,
                               const std::string& found) const {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot run this model: {}: {}: supported is {}, found {}", path_, key,
                          supported, found));
}

std::string ConfigObject::Found(const json* value) {
  if (value == nullptr) return "nothing";
  if (value->is_structured()) return value->type_name();
  return value->dump(-1, ' ', true).substr(0, 60);
}

int ConfigObject::Checked(const char* key, const json& value, int64_t low, int64_t high) const {
  bool integer = value.is_number_integer() &&
                 !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
  if (!integer || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    Refuse(key, fmt::format("an integer from {} to {}", low, high), Found(&value));
  }
  return static_cast<int>(value.get<int64_t>());
}

json ParseConfigObject(const std::string& text, const std::string& path) {
  if (text.size() > kMaxConfigBytes) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use configuration: {}: expected at most {} bytes, found {}",
                            path, kMaxConfigBytes, text.size()));
  }
  CheckJson(text, path);
  json document = json::parse(text);
  if (!document.is_object()) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot use configuration: {}: expected an object, found {}", path,
                            document.type_name()));
  }
  return document;
}

}  // namespace moescope::files
