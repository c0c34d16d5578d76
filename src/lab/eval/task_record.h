// One record of a task file, with fields that are what a shape wants them to be or refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "files/json_tree.h"

namespace moescope::lab {

// The value must outlive this. All that throw: Error(kBadInput) naming file, line and field.
class TaskRecord {
 public:
  TaskRecord(const files::JsonValue& value, std::string where)
      : value_(value), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const files::JsonValue* Find(std::string_view name) const { return value_.Find(name); }
  bool Has(std::string_view name) const { return Find(name) != nullptr; }

  const std::string& Text(std::string_view name) const;
  // Of at least two texts.
  std::vector<std::string> Texts(std::string_view name) const;
  // A whole number from `low` to `high`, as such or as a text.
  int Number(std::string_view name, int low, int high) const;
  bool Boolean(std::string_view name) const;
  // The place of a label, a text or number, in a list of them.
  int Label(std::string_view name, const std::vector<std::string>& labels) const;

  // What statistics resample.
  std::string Unit() const;
  [[noreturn]] void Refuse(std::string_view name, std::string_view expected,
                           std::string_view found) const;

 private:
  const files::JsonValue& Get(std::string_view name, std::string_view expected) const;

  const files::JsonValue& value_;
  std::string where_;
};

}  // namespace moescope::lab
