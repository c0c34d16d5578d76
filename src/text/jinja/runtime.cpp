#include "text/jinja/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/error.h"
#include "text/jinja/callables.h"
#include "text/jinja/python_text.h"
#include "text/utf8.h"

namespace moescope::text::jinja {

void RefuseTemplate(std::string_view origin, int line, const std::string& message) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use chat template: {}:{}: {}", origin, line, message));
}

void UnsupportedTemplate(std::string_view origin, int line, const std::string& message) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot use chat template: {}:{}: {}; docs/chat-templates.md lists what "
                          "is supported",
                          origin, line, message));
}

void Runtime::Refuse(const std::string& message) const {
  RefuseTemplate(origin_, line_, message);
}

void Runtime::Unsupported(const std::string& message) const {
  UnsupportedTemplate(origin_, line_, message);
}

void Runtime::RefuseKind(std::string_view what, const Value& value) const {
  if (value.is_undefined()) Refuse(fmt::format("'{}' is undefined", value.text().substr(0, 80)));
  Refuse(fmt::format("cannot {} {}", what, Name(value.kind)));
}

void Runtime::Overspent(std::string_view what, int64_t limit) const {
  Refuse(fmt::format("expected at most {} {}, found more", limit, what));
}

void Runtime::CheckDepth(int depth) const {
  if (depth > kMaxValueDepth) Overspent("levels of values inside values", kMaxValueDepth);
}

template <typename T>
T* Runtime::New(const T& value) {
  NeedRoom(sizeof(T));
  return new (arena_.Allocate(sizeof(T))) T(value);
}

Value Runtime::NewBytes(char* bytes, size_t n_bytes) const {
  return Value::String({bytes, n_bytes});
}

Value Runtime::NewString(std::string_view text) {
  if (text.empty()) return Value::String("");
  Scan(text.size());
  NeedRoom(text.size());
  char* bytes = arena_.Allocate(text.size(), 1);
  std::memcpy(bytes, text.data(), text.size());
  return NewBytes(bytes, text.size());
}

Value Runtime::Concat(std::string_view left, std::string_view right) {
  if (right.empty()) return Value::String(left);
  if (left.empty()) return Value::String(right);
  NeedRoom(left.size() + right.size());
  Scan(right.size());
  if (arena_.Extend(left, right)) return Value::String({left.data(), left.size() + right.size()});
  Scan(left.size());
  char* bytes = arena_.Allocate(left.size() + right.size(), 1);
  std::memcpy(bytes, left.data(), left.size());
  std::memcpy(bytes + left.size(), right.data(), right.size());
  return NewBytes(bytes, left.size() + right.size());
}

Value Runtime::NewList(std::span<const Value> items, Kind kind) {
  CheckCount(items.size());
  Step(1 + items.size() / kWordsPerStep);
  const size_t n_bytes = items.size_bytes();
  NeedRoom(n_bytes);
  List list;
  if (!items.empty()) {
    char* bytes = arena_.Allocate(n_bytes);
    std::memcpy(bytes, static_cast<const void*>(items.data()), n_bytes);
    list = {reinterpret_cast<const Value*>(bytes), items.size()};
  }
  Value result = Value::OfKind(kind);
  result.list = New(list);
  return result;
}

Value Runtime::NewIterator(std::span<const Value> items) {
  Value result = Value::OfKind(Kind::kIterator);
  result.iterator = New(Iterator{*NewList(items).list, 0});
  return result;
}

Value Runtime::NewPair(const Value& first, const Value& second) {
  const Value items[] = {first, second};
  return NewList(items, Kind::kTuple);
}

Value Runtime::NewRange(const Range& range) {
  Value result = Value::OfKind(Kind::kRange);
  result.range = New(range);
  return result;
}

void Runtime::SetEntry(const Value& key, const Value& value, std::vector<Entry>& entries) {
  Step(1 + entries.size() / kWordsPerStep);
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const Entry& entry) { return Equal(entry.key, key); });
  if (at == entries.end()) {
    entries.push_back({key, value});
  } else {
    at->value = value;
  }
}

Value Runtime::NewDict(std::span<const Entry> entries) {
  CheckCount(entries.size());
  Step(1 + entries.size() / kWordsPerStep);
  NeedRoom(entries.size_bytes());
  Dict dict;
  if (!entries.empty()) {
    char* bytes = arena_.Allocate(entries.size_bytes());
    std::memcpy(bytes, static_cast<const void*>(entries.data()), entries.size_bytes());
    dict = {reinterpret_cast<const Entry*>(bytes), entries.size()};
  }
  Value result = Value::OfKind(Kind::kDict);
  result.dict = New(dict);
  return result;
}

Value Runtime::NewMethod(const Method& method) {
  Value result = Value::OfKind(Kind::kMethod);
  result.method = New(method);
  return result;
}

bool Runtime::Truth(const Value& value) const {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBoolean:
      return value.boolean;
    case Kind::kInteger:
      return value.integer != 0;
    case Kind::kFloat:
      return value.number != 0;
    case Kind::kString:
      return value.n_bytes > 0;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return value.list->n > 0;
    case Kind::kRange:
      return value.range->n > 0;
    case Kind::kDict:
      return value.dict->n > 0;
    default:
      return true;
  }
}

std::optional<size_t> Runtime::Length(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      Scan(value.n_bytes);
      return CountCodePoints(value.text());
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return value.list->n;
    case Kind::kRange:
      return value.range->n;
    case Kind::kDict:
      return value.dict->n;
    default:
      return std::nullopt;
  }
}

std::string_view Runtime::Text(const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return "";
  std::string text;
  AppendText(value, text);
  return NewString(text).text();
}

void Runtime::AppendText(const Value& value, std::string& out) {
  if (value.is_undefined()) return;
  if (!value.is_string()) return AppendRepr(value, out);
  Scan(value.n_bytes);
  NeedRoom(out.size() + value.n_bytes);
  out += value.text();
}

void Runtime::AppendItems(const List& list, std::string& out, int depth) {
  for (size_t i = 0; i < list.n; ++i) {
    if (i > 0) out += ", ";
    AppendRepr(list.items[i], out, depth + 1);
  }
}

void Runtime::AppendRepr(const Value& value, std::string& out, int depth) {
  CheckDepth(depth);
  Step();
  NeedRoom(out.size());
  switch (value.kind) {
    case Kind::kUndefined:
      out += "Undefined";
      return;
    case Kind::kNone:
      out += "None";
      return;
    case Kind::kBoolean:
      out += value.boolean ? "True" : "False";
      return;
    case Kind::kInteger:
      fmt::format_to(std::back_inserter(out), "{}", value.integer);
      return;
    case Kind::kFloat:
      out += FormatFloat(value.number);
      return;
    case Kind::kString:
      Scan(value.n_bytes * 8);
      NeedRoom(out.size() + value.n_bytes * size_t{4});
      return AppendQuoted(value.text(), out);
    case Kind::kList:
      out += '[';
      AppendItems(*value.list, out, depth);
      out += ']';
      return;
    case Kind::kTuple:
      out += '(';
      AppendItems(*value.list, out, depth);
      out += value.list->n == 1 ? ",)" : ")";
      return;
    case Kind::kRange: {
      const Range& range = *value.range;
      const int64_t end = range.start + range.step * static_cast<int64_t>(range.n);
      if (range.step != 1 || range.n == 0) Unsupported("a range with a step is written out");
      fmt::format_to(std::back_inserter(out), "range({}, {})", range.start, end);
      return;
    }
    case Kind::kDict:
      out += '{';
      for (size_t i = 0; i < value.dict->n; ++i) {
        if (i > 0) out += ", ";
        AppendRepr(value.dict->entries[i].key, out, depth + 1);
        out += ": ";
        AppendRepr(value.dict->entries[i].value, out, depth + 1);
      }
      out += '}';
      return;
    default:
      Unsupported(fmt::format("{} is written out", Name(value.kind)));
  }
}

bool Runtime::Equal(const Value& left, const Value& right, int depth) {
  CheckDepth(depth);
  Step();
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return left.as_integer() == right.as_integer();
    return Compare(left, right) == 0;
  }
  if (left.kind != right.kind) return false;
  switch (left.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (left.n_bytes != right.n_bytes) return false;
      Scan(left.n_bytes);
      return left.text() == right.text();
    case Kind::kList:
    case Kind::kTuple:
      if (left.list->n != right.list->n) return false;
      for (size_t i = 0; i < left.list->n; ++i) {
        if (!Equal(left.list->items[i], right.list->items[i], depth + 1)) return false;
      }
      return true;
    case Kind::kRange:
      return left.range->n == right.range->n &&
             (left.range->n == 0 ||
              (left.range->start == right.range->start &&
               (left.range->n == 1 || left.range->step == right.range->step)));
    case Kind::kDict: {
      if (left.dict->n != right.dict->n) return false;
      for (size_t i = 0; i < left.dict->n; ++i) {
        const Entry& entry = left.dict->entries[i];
        const Value* other = Find(*right.dict, entry.key);
        if (other == nullptr || !Equal(entry.value, *other, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kFunction:
      return left.function == right.function;
    case Kind::kMethod:
      return left.method == right.method;
    default:
      return left.list == right.list;  // whatever it points to, it is the same object
  }
}

std::optional<int> Runtime::Compare(const Value& left, const Value& right, int depth) {
  CheckDepth(depth);
  Step();
  const auto sign = [](const auto& a, const auto& b) { return a < b ? -1 : a > b ? 1 : 0; };
  if (left.is_integral() && right.is_integral()) return sign(left.as_integer(), right.as_integer());
  if (left.is_number() && right.is_number()) {
    // Wide enough for every 64-bit integer.
    const auto wide = [](const Value& value) {
      return value.is(Kind::kFloat) ? static_cast<long double>(value.number)
                                    : static_cast<long double>(value.as_integer());
    };
    if (std::isnan(left.as_float()) || std::isnan(right.as_float())) return std::nullopt;
    return sign(wide(left), wide(right));
  }
  if (left.is_string() && right.is_string()) {
    Scan(std::min(left.n_bytes, right.n_bytes));
    return sign(left.text(), right.text());  // bytes of UTF-8 have the order of code points
  }
  if (left.kind == right.kind && (left.is(Kind::kList) || left.is(Kind::kTuple))) {
    for (size_t i = 0; i < std::min(left.list->n, right.list->n); ++i) {
      const Value &a = left.list->items[i], &b = right.list->items[i];
      if (!Equal(a, b, depth + 1)) return Compare(a, b, depth + 1);
    }
    return sign(left.list->n, right.list->n);
  }
  if (left.is_undefined()) RefuseKind("compare", left);
  if (right.is_undefined()) RefuseKind("compare", right);
  Refuse(fmt::format("cannot order {} and {}", Name(left.kind), Name(right.kind)));
}

bool Runtime::Contains(const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) RefuseKind("look in a string for", item);
    Scan(container.n_bytes);
    return item.n_bytes == 0 ||
           memmem(container.bytes, container.n_bytes, item.bytes, item.n_bytes) != nullptr;
  }
  if (container.is(Kind::kDict)) {
    if (item.is(Kind::kList) || item.is(Kind::kDict)) RefuseKind("use as a key", item);
    return Find(*container.dict, item) != nullptr;
  }
  Walk walk(*this, container);
  for (Value other; walk.Next(other);) {
    if (Equal(item, other)) return true;
  }
  return false;
}

const Value* Runtime::Find(const Dict& dict, const Value& key) {
  Step(1 + dict.n / kWordsPerStep);
  for (size_t i = 0; i < dict.n; ++i) {
    const Entry& entry = dict.entries[i];
    if (key.is_string() && entry.key.is_string()) {
      if (key.text() == entry.key.text()) return &entry.value;
    } else if (Equal(key, entry.key)) {
      return &entry.value;
    }
  }
  return nullptr;
}

std::vector<Value> Runtime::Items(const Value& value) {
  std::vector<Value> items;
  Walk walk(*this, value);
  for (Value item; walk.Next(item);) {
    CheckCount(items.size() + 1);
    items.push_back(item);
  }
  return items;
}

Walk::Walk(Runtime& runtime, const Value& value) : runtime_(runtime), value_(value) {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kRange:
    case Kind::kDict:
      return;
    default:
      runtime.RefuseKind("walk over", value);
  }
}

bool Walk::Next(Value& item) {
  runtime_.Step();
  switch (value_.kind) {
    case Kind::kString: {
      if (next_ >= value_.n_bytes) return false;
      const size_t n = StepUtf8(value_.text(), next_).n_bytes;
      item = Value::String(value_.text().substr(next_, n));
      next_ += n;
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      if (next_ >= value_.list->n) return false;
      item = value_.list->items[next_++];
      return true;
    case Kind::kIterator: {
      Iterator& iterator = *value_.iterator;
      if (iterator.next >= iterator.list.n) return false;
      item = iterator.list.items[iterator.next++];
      return true;
    }
    case Kind::kRange:
      if (next_ >= value_.range->n) return false;
      item =
          Value::Integer(value_.range->start + value_.range->step * static_cast<int64_t>(next_++));
      return true;
    case Kind::kDict:
      if (next_ >= value_.dict->n) return false;
      item = value_.dict->entries[next_++].key;
      return true;
    default:
      return false;
  }
}

std::vector<std::optional<Value>> Bind(const Runtime& runtime, std::string_view what,
                                       const Arguments& arguments,
                                       std::initializer_list<std::string_view> names) {
  std::vector<std::optional<Value>> values(names.size());
  if (arguments.positional.size() > names.size()) {
    runtime.Refuse(fmt::format("{}: expected at most {} arguments, found {}", what, names.size(),
                               arguments.positional.size()));
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), values.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    const auto index = static_cast<size_t>(at - names.begin());
    if (at == names.end() || values[index]) {
      runtime.Refuse(fmt::format("{}: unexpected argument '{}'", what, name));
    }
    values[index] = value;
  }
  return values;
}

}  // namespace moescope::text::jinja
