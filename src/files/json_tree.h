// A small JSON document as a tree of ours, built from the stream of events within its limits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "files/json_events.h"

namespace moescope::files {

struct JsonValue {
  enum class Kind : uint8_t { kNull, kBoolean, kUnsigned, kOtherNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  uint64_t number = 0;           // kUnsigned
  std::string text;              // kString; kOtherNumber as written
  std::string key;               // if this is a member of an object
  std::vector<JsonValue> items;  // of a list or an object, in the order of the file

  bool IsNull() const { return kind == Kind::kNull; }
  // Null if this is no object or has no such member.
  const JsonValue* Find(std::string_view name) const;
  // As a person would write it, shortened: for messages.
  std::string Shown() const;
};

// Builds the tree of one value. At most 2^20 values, then Error(kCorrupt).
class JsonTreeBuilder : public JsonHandler {
 public:
  explicit JsonTreeBuilder(const std::string& path) : path_(path) {}
  void BeginObject() override { Open(JsonValue::Kind::kObject); }
  void EndObject() override { open_.pop_back(); }
  void BeginArray() override { Open(JsonValue::Kind::kArray); }
  void EndArray() override { open_.pop_back(); }
  void Key(const std::string& key) override { key_ = key; }
  void String(const std::string& value) override;
  void Unsigned(uint64_t value) override;
  void Other(std::string_view what) override;
  // Containers that are open.
  size_t depth() const { return open_.size(); }
  JsonValue Take() { return std::move(root_); }

 private:
  JsonValue& Add(JsonValue::Kind kind);
  void Open(JsonValue::Kind kind);

  const std::string& path_;
  JsonValue root_;
  std::vector<JsonValue*> open_;
  std::string key_;
  size_t n_values_ = 0;
};

// The whole text. Throws Error(kCorrupt) as ReadJson.
JsonValue ReadJsonTree(std::string_view text, const std::string& path);

}  // namespace moescope::files
