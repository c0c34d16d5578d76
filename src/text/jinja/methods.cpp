// Methods of texts, dicts, lists and loops. Those that would change their object are refused, as by
// jinja2's immutable sandbox.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "text/jinja/callables.h"
#include "text/jinja/python_text.h"

namespace moescope::text::jinja {
namespace {

using Optional = std::optional<Value>;

std::string_view TextArgument(const Runtime& runtime, std::string_view what,
                              const Optional& value) {
  if (!value) runtime.Refuse(fmt::format("{}: an argument is missing", what));
  if (!value->is_string()) {
    runtime.Refuse(fmt::format("{}: expected a string, found {}", what, Name(value->kind)));
  }
  return value->text();
}

int64_t IntegerArgument(const Runtime& runtime, std::string_view what, const Optional& value,
                        int64_t fallback) {
  if (!value) return fallback;
  if (!value->is_integral()) {
    runtime.Refuse(fmt::format("{}: expected an integer, found {}", what, Name(value->kind)));
  }
  return value->as_integer();
}

void NoArguments(const Runtime& runtime, std::string_view what, const Arguments& arguments) {
  Bind(runtime, what, arguments, {});
}

// --- texts ---

template <Side side>
Value Strip(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Optional characters = Bind(runtime, "strip", arguments, {"chars"})[0];
  runtime.Scan(self.n_bytes);
  if (!characters || characters->is(Kind::kNone)) {
    return Value::String(StripSpace(self.text(), side));
  }
  const std::string_view set = TextArgument(runtime, "strip", characters);
  runtime.Scan(set.size() * 16);
  return Value::String(StripAny(self.text(), set, side));
}

template <std::string (*Map)(std::string_view)>
Value MapText(Runtime& runtime, const Value& self, const Arguments& arguments) {
  NoArguments(runtime, "a method of a string", arguments);
  runtime.Scan(self.n_bytes * size_t{8});
  runtime.NeedRoom(self.n_bytes * size_t{3});
  return runtime.NewString(Map(self.text()));
}

size_t FindFrom(std::string_view text, std::string_view part, size_t from) {
  if (part.empty()) return from;
  if (from >= text.size()) return std::string_view::npos;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

// The texts between separators, cut from the left at most `n_splits` times.
std::vector<Value> SplitAt(Runtime& runtime, std::string_view text, std::string_view separator,
                           size_t n_splits) {
  std::vector<Value> parts;
  size_t begin = 0;
  while (parts.size() < n_splits) {
    const size_t at = FindFrom(text, separator, begin);
    if (at == std::string_view::npos) break;
    runtime.CheckCount(parts.size() + 2);
    runtime.Step();
    parts.push_back(Value::String(text.substr(begin, at - begin)));
    begin = at + separator.size();
  }
  parts.push_back(Value::String(text.substr(begin)));
  return parts;
}

std::vector<Value> SplitAtFromRight(Runtime& runtime, std::string_view text,
                                    std::string_view separator, size_t n_splits) {
  // All cuts, of which the first are taken back: separators are found from the right.
  std::vector<Value> parts;
  while (parts.size() < n_splits) {
    runtime.Scan(text.size());
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    runtime.CheckCount(parts.size() + 2);
    parts.push_back(Value::String(text.substr(at + separator.size())));
    text = text.substr(0, at);
  }
  parts.push_back(Value::String(text));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Value Split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto bound = Bind(runtime, "split", arguments, {"sep", "maxsplit"});
  const int64_t limit = IntegerArgument(runtime, "split", bound[1], -1);
  const size_t n_splits = limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
  runtime.Scan(self.n_bytes);
  if (!bound[0] || bound[0]->is(Kind::kNone)) {
    if (from_right && n_splits != SIZE_MAX) {
      runtime.Unsupported("rsplit at white space with a limit");
    }
    runtime.Scan(self.n_bytes * size_t{8});
    runtime.NeedRoom(self.n_bytes * size_t{8});
    std::vector<Value> words;
    for (const std::string_view word : SplitSpace(self.text(), n_splits)) {
      words.push_back(Value::String(word));
    }
    return runtime.NewList(words);
  }
  const std::string_view separator = TextArgument(runtime, "split", bound[0]);
  if (separator.empty()) runtime.Refuse("split: the separator is empty");
  const auto split = from_right && n_splits != SIZE_MAX ? SplitAtFromRight : SplitAt;
  return runtime.NewList(split(runtime, self.text(), separator, n_splits));
}

Value SplitLinesMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  NoArguments(runtime, "splitlines", arguments);
  runtime.Scan(self.n_bytes * size_t{8});
  runtime.NeedRoom(self.n_bytes * size_t{16});
  std::vector<Value> lines;
  for (const std::string_view line : SplitLines(self.text())) lines.push_back(Value::String(line));
  return runtime.NewList(lines);
}

template <bool at_end>
Value HasAffix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Optional affix = Bind(runtime, at_end ? "endswith" : "startswith", arguments, {"affix"})[0];
  const auto holds = [&](const Optional& part) {
    const std::string_view text = TextArgument(runtime, at_end ? "endswith" : "startswith", part);
    runtime.Scan(text.size());
    return at_end ? self.text().ends_with(text) : self.text().starts_with(text);
  };
  if (!affix || !affix->is(Kind::kTuple)) return Value::Boolean(holds(affix));
  const List& list = *affix->list;
  return Value::Boolean(
      std::any_of(list.items, list.items + list.n, [&](const Value& part) { return holds(part); }));
}

Value Replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto bound = Bind(runtime, "replace", arguments, {"old", "new", "count"});
  return ReplaceText(runtime, self.text(), TextArgument(runtime, "replace", bound[0]),
                     TextArgument(runtime, "replace", bound[1]),
                     IntegerArgument(runtime, "replace", bound[2], -1));
}

template <bool from_right>
Value Find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view part =
      TextArgument(runtime, "find", Bind(runtime, "find", arguments, {"sub"})[0]);
  const std::string_view text = self.text();
  // std::string's search from the right is quadratic in the worst case.
  const size_t times = from_right ? std::min<size_t>(part.size(), 256) : 1;
  runtime.Scan(text.size() * times);
  const size_t at = from_right ? text.rfind(part) : FindFrom(text, part, 0);
  if (at == std::string_view::npos) return Value::Integer(-1);
  return Value::Integer(static_cast<int64_t>(CountCodePoints(text.substr(0, at))));
}

Value CountText(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view part =
      TextArgument(runtime, "count", Bind(runtime, "count", arguments, {"sub"})[0]);
  runtime.Scan(self.n_bytes);
  if (part.empty()) {
    return Value::Integer(static_cast<int64_t>(CountCodePoints(self.text())) + 1);
  }
  int64_t n = 0;
  for (size_t at = FindFrom(self.text(), part, 0); at != std::string_view::npos;
       at = FindFrom(self.text(), part, at + part.size())) {
    ++n;
  }
  return Value::Integer(n);
}

Value Join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Optional items = Bind(runtime, "join", arguments, {"iterable"})[0];
  if (!items) runtime.Refuse("join: an argument is missing");
  std::string text;
  Walk walk(runtime, *items);
  bool first = true;
  for (Value item; walk.Next(item); first = false) {
    const std::string_view part = TextArgument(runtime, "join", item);
    runtime.NeedRoom(text.size() + self.n_bytes + part.size());
    runtime.Scan(self.n_bytes + part.size());
    if (!first) text += self.text();
    text += part;
  }
  return runtime.NewString(text);
}

template <bool at_end>
Value RemoveAffix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view affix =
      TextArgument(runtime, "removeprefix", Bind(runtime, "removeprefix", arguments, {"affix"})[0]);
  std::string_view text = self.text();
  runtime.Scan(affix.size());
  if (at_end && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!at_end && text.starts_with(affix)) text.remove_prefix(affix.size());
  return Value::String(text);
}

// --- dicts, lists, loops ---

Value Get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto bound = Bind(runtime, "get", arguments, {"key", "default"});
  if (!bound[0]) runtime.Refuse("get: an argument is missing");
  const Value* found = runtime.Find(*self.dict, *bound[0]);
  return found != nullptr ? *found : bound[1].value_or(Value::None());
}

Value ItemsMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  NoArguments(runtime, "items", arguments);
  return runtime.NewList(PairsOf(runtime, *self.dict), Kind::kView);
}

template <bool keys>
Value HalfOfEntries(Runtime& runtime, const Value& self, const Arguments& arguments) {
  NoArguments(runtime, keys ? "keys" : "values", arguments);
  std::vector<Value> half;
  for (size_t i = 0; i < self.dict->n; ++i) {
    half.push_back(keys ? self.dict->entries[i].key : self.dict->entries[i].value);
  }
  return runtime.NewList(half, Kind::kView);
}

Value Index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Optional item = Bind(runtime, "index", arguments, {"value"})[0];
  if (!item) runtime.Refuse("index: an argument is missing");
  for (size_t i = 0; i < self.list->n; ++i) {
    if (runtime.Equal(self.list->items[i], *item)) return Value::Integer(static_cast<int64_t>(i));
  }
  runtime.Refuse("index: there is no such item");
}

Value CountItems(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Optional item = Bind(runtime, "count", arguments, {"value"})[0];
  if (!item) runtime.Refuse("count: an argument is missing");
  int64_t n = 0;
  for (size_t i = 0; i < self.list->n; ++i) n += runtime.Equal(self.list->items[i], *item) ? 1 : 0;
  return Value::Integer(n);
}

Value Cycle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value>& items = arguments.positional;
  if (items.empty() || !arguments.named.empty()) runtime.Refuse("cycle: expected items");
  return items[static_cast<size_t>(self.loop->index0) % items.size()];
}

constexpr MethodEntry kTextMethods[] = {
    {"strip", Strip<Side::kBoth>},
    {"lstrip", Strip<Side::kLeft>},
    {"rstrip", Strip<Side::kRight>},
    {"split", Split<false>},
    {"rsplit", Split<true>},
    {"splitlines", SplitLinesMethod},
    {"startswith", HasAffix<false>},
    {"endswith", HasAffix<true>},
    {"removeprefix", RemoveAffix<false>},
    {"removesuffix", RemoveAffix<true>},
    {"upper", MapText<Upper>},
    {"lower", MapText<Lower>},
    {"title", MapText<TitleOfWords>},
    {"capitalize", MapText<Capitalised>},
    {"replace", Replace},
    {"find", Find<false>},
    {"rfind", Find<true>},
    {"count", CountText},
    {"join", Join},
};
constexpr MethodEntry kDictMethods[] = {{"get", Get},
                                        {"items", ItemsMethod},
                                        {"keys", HalfOfEntries<true>},
                                        {"values", HalfOfEntries<false>}};
constexpr MethodEntry kListMethods[] = {{"index", Index}, {"count", CountItems}};
constexpr MethodEntry kLoopMethods[] = {{"cycle", Cycle}};

// Python's other methods: an attribute of that name is no item of a dict, so it must not be taken
// for one.
constexpr std::string_view kOtherTextMethods[] = {
    "casefold",  "center",      "encode",  "expandtabs", "format",   "format_map",   "index",
    "isalnum",   "isalpha",     "isascii", "isdecimal",  "isdigit",  "isidentifier", "islower",
    "isnumeric", "isprintable", "isspace", "istitle",    "isupper",  "ljust",        "maketrans",
    "partition", "rindex",      "rjust",   "rpartition", "swapcase", "translate",    "zfill"};
constexpr std::string_view kOtherDictMethods[] = {"clear",   "copy",       "fromkeys", "pop",
                                                  "popitem", "setdefault", "update"};
constexpr std::string_view kOtherListMethods[] = {"append", "clear",  "copy",    "extend", "insert",
                                                  "pop",    "remove", "reverse", "sort"};

constexpr std::string_view kOtherRangeMethods[] = {"count", "index"};

struct MethodTable {
  std::span<const MethodEntry> methods;
  std::span<const std::string_view> others;
};

MethodTable TableOf(Kind kind) {
  switch (kind) {
    case Kind::kString:
      return {kTextMethods, kOtherTextMethods};
    case Kind::kDict:
      return {kDictMethods, kOtherDictMethods};
    case Kind::kList:
      return {kListMethods, kOtherListMethods};
    case Kind::kTuple:
      return {kListMethods, {}};
    case Kind::kRange:
      return {{}, kOtherRangeMethods};
    case Kind::kLoop:
      return {kLoopMethods, {}};
    default:
      return {};
  }
}

}  // namespace

const MethodEntry* FindMethod(const Runtime& runtime, const Value& self, std::string_view name) {
  const MethodTable table = TableOf(self.kind);
  for (const MethodEntry& entry : table.methods) {
    if (entry.name == name) return &entry;
  }
  if (std::find(table.others.begin(), table.others.end(), name) != table.others.end()) {
    runtime.Unsupported(fmt::format("method '{}' of {}", name, Name(self.kind)));
  }
  return nullptr;
}

std::vector<Value> PairsOf(Runtime& runtime, const Dict& dict) {
  std::vector<Value> pairs;
  for (size_t i = 0; i < dict.n; ++i) {
    pairs.push_back(runtime.NewPair(dict.entries[i].key, dict.entries[i].value));
  }
  return pairs;
}

Value ReplaceText(Runtime& runtime, std::string_view text, std::string_view from,
                  std::string_view to, int64_t limit) {
  std::string out;
  runtime.Scan(text.size());
  size_t begin = 0;
  int64_t n = 0;
  size_t at = limit == 0 ? std::string_view::npos : FindFrom(text, from, 0);
  while (at != std::string_view::npos) {
    runtime.Scan(to.size());
    runtime.NeedRoom(out.size() + at - begin + to.size() + 4);
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
    if (++n == limit || (from.empty() && at == text.size())) break;
    if (from.empty()) {
      // Between all characters: the next one is copied here.
      at += ByteOfCodePoint(text.substr(at, 5), 1);
    } else {
      at = FindFrom(text, from, begin);
    }
  }
  if (n == 0) return Value::String(text);
  runtime.NeedRoom(out.size() + text.size() - begin);
  out += text.substr(begin);
  return runtime.NewString(out);
}

}  // namespace moescope::text::jinja
