// What everything that computes with values shares: the budget of a rendering, errors that name the
// line, and how values are made, walked over, compared and written.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/limits.h"
#include "text/jinja/value.h"

namespace moescope::text::jinja {

// Throws Error(kBadInput) "cannot use chat template: ORIGIN:LINE: ...".
[[noreturn]] void RefuseTemplate(std::string_view origin, int line, const std::string& message);
// The same as Error(kUnsupported).
[[noreturn]] void UnsupportedTemplate(std::string_view origin, int line,
                                      const std::string& message);

// The values of a call's arguments.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

// One rendering's memory and time. Not thread-safe.
class Runtime {
 public:
  explicit Runtime(std::string_view origin) : origin_(origin) {}

  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  [[noreturn]] void Refuse(const std::string& message) const;
  [[noreturn]] void Unsupported(const std::string& message) const;
  // "cannot WHAT a string".
  [[noreturn]] void RefuseKind(std::string_view what, const Value& value) const;

  // Each throws Error(kBadInput) when the budget is spent.
  void Step(size_t n = 1) {
    steps_ -= static_cast<int64_t>(n);
    if (steps_ < 0) Overspent("steps", kMaxSteps);
  }
  void Scan(size_t n_bytes) { Step(1 + n_bytes / kBytesPerStep); }
  // Before bytes are appended to a text that is being built.
  void NeedRoom(size_t n_bytes) const {
    if (!arena_.Fits(n_bytes + 16)) Overspent("bytes of values", kMaxValueBytes);
  }
  void CheckCount(size_t n_items) const {
    if (n_items > kMaxListItems) Overspent("items in a list", kMaxListItems);
  }
  void Count(size_t n_bytes) {
    NeedRoom(n_bytes);
    arena_.Count(n_bytes);
  }

  // Copies. An empty text and a list without items cost nothing.
  Value NewString(std::string_view text);
  Value Concat(std::string_view left, std::string_view right);
  Value NewList(std::span<const Value> items, Kind kind = Kind::kList);
  Value NewIterator(std::span<const Value> items);
  Value NewPair(const Value& first, const Value& second);
  Value NewRange(const Range& range);
  Value NewDict(std::span<const Entry> entries);
  // Sets a key of a dict that is being made, in its place if it is there.
  void SetEntry(const Value& key, const Value& value, std::vector<Entry>& entries);
  Value NewMethod(const Method& method);

  bool Truth(const Value& value) const;
  // Nothing when it has no length.
  std::optional<size_t> Length(const Value& value);
  // str(value).
  std::string_view Text(const Value& value);
  void AppendText(const Value& value, std::string& out);
  // repr(value).
  void AppendRepr(const Value& value, std::string& out, int depth = 0);

  bool Equal(const Value& left, const Value& right, int depth = 0);
  // -1, 0, 1; nothing when one of them is not a number.
  // Throws Error(kBadInput) for kinds without an order.
  std::optional<int> Compare(const Value& left, const Value& right, int depth = 0);
  bool Contains(const Value& container, const Value& item);
  // Null when there is no such key.
  const Value* Find(const Dict& dict, const Value& key);

  // All items of what can be walked over. Throws Error(kBadInput) otherwise.
  std::vector<Value> Items(const Value& value);

 private:
  [[noreturn]] void Overspent(std::string_view what, int64_t limit) const;
  void AppendItems(const List& list, std::string& out, int depth);
  void CheckDepth(int depth) const;
  template <typename T>
  T* New(const T& value);
  Value NewBytes(char* bytes, size_t n_bytes) const;

  std::string_view origin_;
  int line_ = 1;
  int64_t steps_ = kMaxSteps;
  Arena arena_{kMaxValueBytes};
};

// Walks over a value's items: characters of a text, keys of a dict.
class Walk {
 public:
  // Throws Error(kBadInput) for what cannot be walked over.
  Walk(Runtime& runtime, const Value& value);
  bool Next(Value& item);

 private:
  Runtime& runtime_;
  Value value_;
  size_t next_ = 0;
};

// Values of the parameters `names` in order; those not given are nothing.
// Throws Error(kBadInput) for too many arguments, unknown names and names given twice.
std::vector<std::optional<Value>> Bind(const Runtime& runtime, std::string_view what,
                                       const Arguments& arguments,
                                       std::initializer_list<std::string_view> names);

}  // namespace moescope::text::jinja
