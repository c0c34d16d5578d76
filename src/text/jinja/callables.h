// What templates may call by name: methods of values, filters (`x | trim`) and tests (`x is
// string`). Each is a row of a table; Source: the reference of Python's types and of jinja2 3.1.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace moescope::text::jinja {

struct MethodEntry {
  std::string_view name;
  Value (*call)(Runtime&, const Value& self, const Arguments&);
};
struct FilterEntry {
  std::string_view name;
  Value (*apply)(Runtime&, const Value&, const Arguments&);
};
struct TestEntry {
  std::string_view name;
  bool (*holds)(Runtime&, const Value&, const Arguments&);
};

// A method of a value, not yet called.
struct Method {
  Value self;
  const MethodEntry* entry = nullptr;
};

// Null when there is none of that name.
const FilterEntry* FindFilter(std::string_view name);
const TestEntry* FindTest(std::string_view name);
// Null when values of this kind have no attribute of that name in Python. Throws
// Error(kUnsupported) for a method that Python has and we do not, or that changes its object.
const MethodEntry* FindMethod(const Runtime& runtime, const Value& self, std::string_view name);

// Python's str.replace: all of them when `limit` is negative.
Value ReplaceText(Runtime& runtime, std::string_view text, std::string_view from,
                  std::string_view to, int64_t limit);
// (key, value) tuples in order.
std::vector<Value> PairsOf(Runtime& runtime, const Dict& dict);

// What `tojson` takes beside the value: json.dumps's parameters of the same names.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::string indent;  // of one level, if has_indent
  bool has_indent = false;
  std::string_view item_separator = ", ", key_separator = ": ";
};
// json.dumps. Throws Error(kBadInput) for what JSON cannot hold.
Value ToJson(Runtime& runtime, const Value& value, const JsonStyle& style);

// A for loop as its body sees it.
struct Loop {
  virtual ~Loop() = default;
  // False at the end; the next item otherwise, which stays next.
  virtual bool Peek(Value& item) = 0;
  virtual size_t Length() = 0;

  int64_t index0 = -1;
  int depth0 = 0;
  Value before, current;
};

struct Scope;
struct Node;
struct Macro {
  const Node* node = nullptr;
  std::string_view name;
  Scope* scope = nullptr;  // where it was defined
};

}  // namespace moescope::text::jinja
