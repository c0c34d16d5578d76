#include "files/gguf_keys.h"

#include <fmt/format.h>

#include <variant>

#include "base/error.h"

namespace moescope::files {
namespace {

std::string Found(const GgufValue& value) {
  if (const auto* n = std::get_if<uint64_t>(&value)) return std::to_string(*n);
  if (const auto* n = std::get_if<int64_t>(&value)) return std::to_string(*n);
  if (const auto* n = std::get_if<double>(&value)) return fmt::format("{}", *n);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return std::holds_alternative<std::string>(value) ? "a string" : "an array";
}

}  // namespace

int GgufKeys::Integer(const std::string& key, int64_t low, int64_t high) const {
  const GgufValue* value = file_.Find(key);
  if (value == nullptr)
    Refuse(key, fmt::format("an integer from {} to {}", low, high), "no such key");
  return Checked(key, *value, low, high);
}

int GgufKeys::IntegerOr(const std::string& key, int64_t low, int64_t high, int fallback) const {
  const GgufValue* value = file_.Find(key);
  return value == nullptr ? fallback : Checked(key, *value, low, high);
}

double GgufKeys::NumberOr(const std::string& key, double fallback) const {
  const GgufValue* value = file_.Find(key);
  if (value == nullptr) return fallback;
  const double* number = std::get_if<double>(value);
  if (number == nullptr) Refuse(key, "a floating-point number", Found(*value));
  return *number;
}

double GgufKeys::Number(const std::string& key) const {
  if (file_.Find(key) == nullptr) Refuse(key, "a floating-point number", "no such key");
  return NumberOr(key, 0);
}

std::string GgufKeys::TextOr(const std::string& key, const std::string& fallback) const {
  const GgufValue* value = file_.Find(key);
  if (value == nullptr) return fallback;
  const std::string* text = std::get_if<std::string>(value);
  if (text == nullptr) Refuse(key, "a string", Found(*value));
  return *text;
}

bool GgufKeys::BooleanOr(const std::string& key, bool fallback) const {
  const GgufValue* value = file_.Find(key);
  if (value == nullptr) return fallback;
  const bool* flag = std::get_if<bool>(value);
  if (flag == nullptr) Refuse(key, "true or false", Found(*value));
  return *flag;
}

const GgufArray& GgufKeys::Array(const std::string& key) const {
  const GgufValue* value = file_.Find(key);
  const GgufArray* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
  if (array == nullptr) Refuse(key, "an array", value == nullptr ? "no such key" : Found(*value));
  return *array;
}

void GgufKeys::Refuse(const std::string& key, const std::string& expected,
                      const std::string& found) const {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use configuration: {}: {}: expected {}, found {}", file_.path(),
                          key, expected, found));
}

void GgufKeys::Unsupported(const std::string& key, const std::string& supported,
                           const std::string& found) const {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot run this model: {}: {}: supported is {}, found {}", file_.path(),
                          key, supported, found));
}

int GgufKeys::Checked(const std::string& key, const GgufValue& value, int64_t low,
                      int64_t high) const {
  int64_t number = -1;
  bool integer = false;
  if (const auto* n = std::get_if<uint64_t>(&value)) {
    integer = *n <= uint64_t{INT64_MAX};
    number = integer ? static_cast<int64_t>(*n) : 0;
  } else if (const auto* s = std::get_if<int64_t>(&value)) {
    integer = true;
    number = *s;
  }
  if (!integer || number < low || number > high) {
    Refuse(key, fmt::format("an integer from {} to {}", low, high), Found(value));
  }
  return static_cast<int>(number);
}

}  // namespace moescope::files
