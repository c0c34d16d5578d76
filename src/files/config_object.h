// Typed access to the members of a JSON configuration; messages name file and key.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace moescope::files {

// A view: object and path must outlive it.
class ConfigObject {
 public:
  ConfigObject(const nlohmann::json& object, const std::string& path)
      : object_(object), path_(path) {}

  // Null counts as absent: transformers writes null for "the default".
  const nlohmann::json* Find(const char* key) const;
  // Each throws Error(kBadInput) for another type or a value out of range, and without `Or` for a
  // member that is not there.
  int Integer(const char* key, int64_t low, int64_t high) const;
  int IntegerOr(const char* key, int64_t low, int64_t high, int fallback) const;
  double Number(const char* key) const;
  double NumberOr(const char* key, double fallback) const;
  bool BooleanOr(const char* key, bool fallback) const;
  std::string TextOr(const char* key, const std::string& fallback) const;
  // Token ids may be one or a list (several end-of-text tokens). Empty if absent.
  std::vector<int> TokenIds(const char* key) const;
  // The first of them.
  int TokenIdOr(const char* key, int fallback) const;

  // Throws Error(kBadInput).
  [[noreturn]] void Refuse(const std::string& key, const std::string& expected,
                           const std::string& found) const;
  // Throws Error(kUnsupported).
  [[noreturn]] void Unsupported(const std::string& key, const std::string& supported,
                                const std::string& found) const;
  // A value as messages show it: short and escaped, since it comes from the file.
  static std::string Found(const nlohmann::json* value);

 private:
  int Checked(const char* key, const nlohmann::json& value, int64_t low, int64_t high) const;
  const nlohmann::json& object_;
  const std::string& path_;
};

// Parses a configuration within its limits. Throws Error(kBadInput, kCorrupt).
nlohmann::json ParseConfigObject(const std::string& text, const std::string& path);

}  // namespace moescope::files
