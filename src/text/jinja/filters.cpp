// Filters: `x | trim`.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"

namespace moescope::text::jinja {
namespace {

using Optional = std::optional<Value>;

bool Given(const Optional& value) {
  return value && !value->is(Kind::kNone);
}

bool Flag(const Runtime& runtime, const Optional& value) {
  return value && runtime.Truth(*value);
}

// --- texts ---

template <std::string (*Map)(std::string_view)>
Value MapText(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "a filter", arguments, {});
  const std::string_view text = runtime.Text(value);
  runtime.Scan(text.size() * 8);
  runtime.NeedRoom(text.size() * 3);
  return runtime.NewString(Map(text));
}

Value Trim(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Optional characters = Bind(runtime, "trim", arguments, {"chars"})[0];
  const std::string_view text = runtime.Text(value);
  runtime.Scan(text.size());
  if (!Given(characters)) return Value::String(StripSpace(text, Side::kBoth));
  if (!characters->is_string()) runtime.RefuseKind("trim", *characters);
  runtime.Scan(characters->n_bytes * size_t{16});
  return Value::String(StripAny(text, characters->text(), Side::kBoth));
}

Value Replace(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "replace", arguments, {"old", "new", "count"});
  if (!bound[0] || !bound[1]) runtime.Refuse("replace: expected two arguments");
  int64_t limit = -1;
  if (Given(bound[2])) {
    if (!bound[2]->is_integral()) runtime.RefuseKind("count with", *bound[2]);
    limit = bound[2]->as_integer();
  }
  return ReplaceText(runtime, runtime.Text(value), runtime.Text(*bound[0]), runtime.Text(*bound[1]),
                     limit);
}

Value String(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "string", arguments, {});
  return Value::String(runtime.Text(value));
}

Value Format(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.named.empty()) runtime.Unsupported("filter 'format' with names");
  return FormatPercent(runtime, runtime.Text(value),
                       runtime.NewList(arguments.positional, Kind::kTuple));
}

// Lines after the first get the indentation; blank ones and the first only if asked for.
Value Indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "indent", arguments, {"width", "first", "blank"});
  std::string_view indentation = "    ";
  if (!value.is_string()) runtime.RefuseKind("indent", value);
  if (bound[0] && bound[0]->is_string()) {
    indentation = bound[0]->text();
  } else if (bound[0]) {
    indentation =
        runtime.Text(Arithmetic(runtime, Operator::kMultiply, Value::String(" "), *bound[0]));
  }
  // jinja2 adds the newline to the text, so that a closing one is kept.
  const std::string_view text = runtime.Concat(runtime.Text(value), "\n").text();
  runtime.Scan(text.size() * 8);
  runtime.NeedRoom(text.size() * 16);
  std::string out;
  bool is_first = true;
  for (const std::string_view line : SplitLines(text)) {
    runtime.Scan(line.size() + indentation.size());
    runtime.NeedRoom(out.size() + line.size() + indentation.size());
    const bool indented =
        is_first ? Flag(runtime, bound[1]) : !line.empty() || Flag(runtime, bound[2]);
    if (!is_first) out += '\n';
    if (indented) out += indentation;
    out += line;
    is_first = false;
  }
  return runtime.NewString(out);
}

Value ToJsonFilter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound =
      Bind(runtime, "tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = Flag(runtime, bound[0]);
  style.sort_keys = Flag(runtime, bound[3]);
  if (Given(bound[1])) {
    style.has_indent = true;
    style.item_separator = ",";
    if (bound[1]->is_string()) {
      style.indent = bound[1]->text();
    } else {
      style.indent =
          runtime.Text(Arithmetic(runtime, Operator::kMultiply, Value::String(" "), *bound[1]));
    }
  }
  if (Given(bound[2])) {
    const std::vector<Value> separators = runtime.Items(*bound[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      runtime.Refuse("tojson: expected two strings as separators");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return ToJson(runtime, value, style);
}

// --- numbers ---

// Python's int(text): spaces around, a sign, digits with single underscores between them.
std::optional<std::string> PlainNumber(std::string_view text) {
  text = StripSpace(text, Side::kBoth);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_digit = [&](size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '9';
    };
    if (text[i] == '_') {
      if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) return std::nullopt;
    } else {
      digits += text[i];
    }
  }
  if (digits.starts_with('+')) {
    digits.erase(0, 1);
    if (digits.starts_with('-') || digits.starts_with('+')) return std::nullopt;
  }
  return digits;
}

std::optional<int64_t> ParseInteger(const Runtime& runtime, std::string_view text) {
  const auto digits = PlainNumber(text);
  if (!digits) return std::nullopt;
  int64_t number = 0;
  const char* end = digits->data() + digits->size();
  const auto [at, error] = std::from_chars(digits->data(), end, number);
  if (at != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc()) runtime.Unsupported("an integer beyond 64 bits");
  return number;
}

std::optional<double> ParseFloat(std::string_view text) {
  auto digits = PlainNumber(text);
  if (!digits || digits->size() > 4096) return std::nullopt;
  std::string lower = Lower(*digits);
  const std::string_view bare = std::string_view(lower).substr(lower.starts_with('-') ? 1 : 0);
  if (bare == "infinity" || bare == "inf") return lower[0] == '-' ? -INFINITY : INFINITY;
  if (bare == "nan") return NAN;
  // Only digits, a point and an exponent are left to it.
  if (bare.empty() || bare.find_first_not_of("0123456789.e+-") != std::string_view::npos) {
    return std::nullopt;
  }
  double number = 0;
  const auto [at, error] = std::from_chars(lower.data(), lower.data() + lower.size(), number);
  if (at != lower.data() + lower.size() || error == std::errc::invalid_argument) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) number = std::strtod(lower.c_str(), nullptr);
  return number;
}

Value IntegerOf(Runtime& runtime, double number, const Value& fallback) {
  if (!std::isfinite(number)) return fallback;
  if (std::fabs(number) >= 9.2e18) runtime.Unsupported("an integer beyond 64 bits");
  return Value::Integer(static_cast<int64_t>(number));
}

Value Int(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "int", arguments, {"default", "base"});
  if (bound[1] && !runtime.Equal(*bound[1], Value::Integer(10))) {
    runtime.Unsupported("filter 'int' with a base");
  }
  const Value fallback = bound[0].value_or(Value::Integer(0));
  if (value.is_integral()) return Value::Integer(value.as_integer());
  if (value.is(Kind::kFloat)) return IntegerOf(runtime, value.number, fallback);
  if (value.is_undefined()) runtime.RefuseKind("convert", value);
  if (!value.is_string()) return fallback;
  runtime.Scan(value.n_bytes);
  if (const auto number = ParseInteger(runtime, value.text())) return Value::Integer(*number);
  if (const auto number = ParseFloat(value.text())) return IntegerOf(runtime, *number, fallback);
  return fallback;
}

Value Float(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value fallback =
      Bind(runtime, "float", arguments, {"default"})[0].value_or(Value::Float(0));
  if (value.is_number()) return Value::Float(value.as_float());
  if (value.is_undefined()) runtime.RefuseKind("convert", value);
  if (!value.is_string()) return fallback;
  runtime.Scan(value.n_bytes);
  const auto number = ParseFloat(value.text());
  return number ? Value::Float(*number) : fallback;
}

Value Abs(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "abs", arguments, {});
  if (value.is(Kind::kFloat)) return Value::Float(std::fabs(value.number));
  if (!value.is_integral()) runtime.RefuseKind("take the magnitude of", value);
  return value.as_integer() < 0 ? Negative(runtime, value) : Value::Integer(value.as_integer());
}

Value Round(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "round", arguments, {"precision", "method"});
  const Value precision = bound[0].value_or(Value::Integer(0));
  const std::string_view method = bound[1] ? runtime.Text(*bound[1]) : "common";
  if (!value.is_number()) runtime.RefuseKind("round", value);
  if (!precision.is_integral() || precision.as_integer() < 0 || precision.as_integer() > 300) {
    runtime.Unsupported("filter 'round' to other than 0 to 300 places");
  }
  const auto places = static_cast<int>(precision.as_integer());
  if (method == "common") {
    if (value.is_integral()) return Value::Integer(value.as_integer());
    if (!std::isfinite(value.number)) return value;
    // Correctly rounded, halves to even, as Python rounds.
    char digits[700];
    std::snprintf(digits, sizeof digits, "%.*f", places, value.number);
    return Value::Float(std::strtod(digits, nullptr));
  }
  if (method != "ceil" && method != "floor")
    runtime.Refuse("round: expected common, ceil or floor");
  const double scale = std::pow(10.0, places);
  const double scaled = value.as_float() * scale;
  if (!std::isfinite(scaled)) runtime.Unsupported("rounding what is no finite number");
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

// --- lists and dicts ---

Value Length(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "length", arguments, {});
  if (value.is(Kind::kLoop)) return Value::Integer(static_cast<int64_t>(value.loop->Length()));
  const auto length = runtime.Length(value);
  if (!length) runtime.RefuseKind("take the length of", value);
  return Value::Integer(static_cast<int64_t>(*length));
}

Value Default(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "default", arguments, {"default_value", "boolean"});
  const bool replaced = value.is_undefined() || (Flag(runtime, bound[1]) && !runtime.Truth(value));
  return replaced ? bound[0].value_or(Value::String("")) : value;
}

// `a.b.0` of an item: each part is an item or attribute of what came before.
class AttributePath {
 public:
  AttributePath(Runtime& runtime, const Optional& path) : runtime_(runtime) {
    if (!Given(path)) return;
    if (!path->is_string()) {
      parts_.push_back(*path);
      return;
    }
    std::string_view rest = path->text();
    runtime.Step(1 + rest.size());
    while (true) {
      const size_t dot = std::min(rest.find('.'), rest.size());
      const std::string_view part = rest.substr(0, dot);
      const bool digits =
          !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      const auto index = digits ? ParseInteger(runtime, part) : std::nullopt;
      parts_.push_back(index ? Value::Integer(*index) : Value::String(part));
      if (dot == rest.size()) return;
      rest.remove_prefix(dot + 1);
    }
  }
  Value Of(Value item, const Optional& fallback = std::nullopt) const {
    for (const Value& part : parts_) {
      item = GetItem(runtime_, item, part);
      if (fallback && item.is_undefined()) item = *fallback;
    }
    return item;
  }

 private:
  Runtime& runtime_;
  std::vector<Value> parts_;
};

Value Join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "join", arguments, {"d", "attribute"});
  const std::string_view separator = bound[0] ? runtime.Text(*bound[0]) : "";
  const AttributePath path(runtime, bound[1]);
  std::string text;
  Walk walk(runtime, value);
  bool first = true;
  for (Value item; walk.Next(item); first = false) {
    runtime.NeedRoom(text.size() + separator.size());
    runtime.Scan(separator.size());
    if (!first) text += separator;
    runtime.AppendText(path.Of(item), text);
  }
  return runtime.NewString(text);
}

Value First(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "first", arguments, {});
  Value item;
  return Walk(runtime, value).Next(item) ? item : Value::Undefined("first item");
}

Value Last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "last", arguments, {});
  if (value.is(Kind::kIterator)) runtime.RefuseKind("take the last item of", value);
  if (value.is_string()) return GetItem(runtime, value, Value::Integer(-1));
  const std::vector<Value> items = runtime.Items(value);
  return items.empty() ? Value::Undefined("last item") : items.back();
}

Value ListFilter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "list", arguments, {});
  return runtime.NewList(runtime.Items(value));
}

Value Items(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "items", arguments, {});
  if (value.is_undefined()) return runtime.NewIterator({});
  if (!value.is(Kind::kDict)) runtime.RefuseKind("take the items of", value);
  return runtime.NewIterator(PairsOf(runtime, *value.dict));
}

Value Reverse(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "reverse", arguments, {});
  if (value.is_string()) {
    runtime.Scan(value.n_bytes * size_t{4});
    return runtime.NewString(Reversed(value.text()));
  }
  std::vector<Value> items = runtime.Items(value);
  std::reverse(items.begin(), items.end());
  return runtime.NewIterator(items);
}

Value WithoutCase(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  runtime.Scan(value.n_bytes * size_t{8});
  runtime.NeedRoom(value.n_bytes * size_t{3});
  return runtime.NewString(Lower(value.text()));
}

struct Keyed {
  Value key, item;
};

// Stable, also in reverse, as Python's sorted is. `equal_first`: keys that are equal need no order.
Value Sorted(Runtime& runtime, std::vector<Keyed> items, bool reverse, bool equal_first) {
  const auto before = [&](const Keyed& a, const Keyed& b) {
    if (equal_first && runtime.Equal(a.key, b.key)) return false;
    return runtime.Compare(a.key, b.key).value_or(0) < 0;
  };
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? before(b, a) : before(a, b);
  });
  std::vector<Value> sorted;
  for (const Keyed& keyed : items) sorted.push_back(keyed.item);
  return runtime.NewList(sorted);
}

Value Sort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  if (Given(bound[2]) && bound[2]->is_string() &&
      bound[2]->text().find(',') != std::string_view::npos) {
    runtime.Unsupported("filter 'sort' by several attributes");
  }
  const AttributePath path(runtime, bound[2]);
  std::vector<Keyed> items;
  for (const Value& item : runtime.Items(value)) {
    items.push_back({WithoutCase(runtime, path.Of(item), Flag(runtime, bound[1])), item});
  }
  return Sorted(runtime, std::move(items), Flag(runtime, bound[0]), true);
}

Value DictSort(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string_view by = bound[1] ? runtime.Text(*bound[1]) : "key";
  if (by != "key" && by != "value") runtime.Refuse("dictsort: expected by 'key' or 'value'");
  if (!value.is(Kind::kDict)) runtime.RefuseKind("sort as a dict", value);
  std::vector<Keyed> items;
  for (const Value& pair : PairsOf(runtime, *value.dict)) {
    const Value& key = pair.list->items[by == "key" ? 0 : 1];
    items.push_back({WithoutCase(runtime, key, Flag(runtime, bound[0])), pair});
  }
  return Sorted(runtime, std::move(items), Flag(runtime, bound[2]), false);
}

Value Unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "unique", arguments, {"case_sensitive", "attribute"});
  const AttributePath path(runtime, bound[1]);
  std::vector<Value> keys, items;
  for (const Value& item : runtime.Items(value)) {
    const Value key = WithoutCase(runtime, path.Of(item), Flag(runtime, bound[0]));
    if (key.is(Kind::kList) || key.is(Kind::kDict)) runtime.RefuseKind("tell apart by", key);
    const bool seen = std::any_of(keys.begin(), keys.end(),
                                  [&](const Value& other) { return runtime.Equal(key, other); });
    if (seen) continue;
    keys.push_back(key);
    items.push_back(item);
  }
  return runtime.NewIterator(items);
}

// The arguments behind the first `n`.
Arguments Rest(const Arguments& arguments, size_t n) {
  const auto begin = arguments.positional.begin() + static_cast<std::ptrdiff_t>(n);
  return {{begin, arguments.positional.end()}, arguments.named};
}

std::string_view NameArgument(const Runtime& runtime, std::string_view what,
                              const Arguments& arguments, size_t index) {
  if (index >= arguments.positional.size() || !arguments.positional[index].is_string()) {
    runtime.Refuse(fmt::format("{}: expected a name as a string", what));
  }
  return arguments.positional[index].text();
}

// map(attribute='role', default=x), or map('upper', arguments of the filter ...).
Value Map(Runtime& runtime, const Value& value, const Arguments& arguments) {
  std::vector<Value> mapped;
  if (!runtime.Truth(value)) return runtime.NewIterator({});  // as jinja2, whatever it is
  if (arguments.positional.empty()) {
    const auto bound = Bind(runtime, "map", arguments, {"attribute", "default"});
    if (!bound[0]) runtime.Refuse("map: expected a filter's name or attribute=");
    const AttributePath path(runtime, bound[0]);
    for (const Value& item : runtime.Items(value)) {
      mapped.push_back(path.Of(item, Given(bound[1]) ? bound[1] : std::nullopt));
    }
    return runtime.NewIterator(mapped);
  }
  const std::string_view name = NameArgument(runtime, "map", arguments, 0);
  const FilterEntry* filter = FindFilter(name);
  if (filter == nullptr) runtime.Unsupported(fmt::format("filter '{}'", name.substr(0, 80)));
  if (name == "map") runtime.Unsupported("map within map");
  const Arguments rest = Rest(arguments, 1);
  for (const Value& item : runtime.Items(value)) {
    mapped.push_back(filter->apply(runtime, item, rest));
  }
  return runtime.NewIterator(mapped);
}

// select and reject, of items or of an attribute of theirs; by truth or by a named test.
template <bool keep, bool by_attribute>
Value Select(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const std::string_view what = by_attribute ? "selectattr" : "select";
  const size_t at = by_attribute ? 1 : 0;
  if (!runtime.Truth(value)) return runtime.NewIterator({});  // as jinja2, whatever it is
  if (by_attribute && arguments.positional.empty()) {
    runtime.Refuse("selectattr: expected the name of an attribute");
  }
  const AttributePath path(runtime, by_attribute ? Optional(arguments.positional[0]) : Optional());
  const TestEntry* test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > at) {
    const std::string_view name = NameArgument(runtime, what, arguments, at);
    test = FindTest(name);
    if (test == nullptr) runtime.Unsupported(fmt::format("test '{}'", name.substr(0, 80)));
    rest = Rest(arguments, at + 1);
  }
  std::vector<Value> selected;
  for (const Value& item : runtime.Items(value)) {
    const Value tested = path.Of(item);
    const bool holds = test == nullptr ? runtime.Truth(tested) : test->holds(runtime, tested, rest);
    if (holds == keep) selected.push_back(item);
  }
  return runtime.NewIterator(selected);
}

// The least or greatest item.
template <bool greatest>
Value Extreme(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "min or max", arguments, {"case_sensitive", "attribute"});
  const AttributePath path(runtime, bound[1]);
  Optional best, best_key;
  for (const Value& item : runtime.Items(value)) {
    const Value key = WithoutCase(runtime, path.Of(item), Flag(runtime, bound[0]));
    const bool better =
        !best || (greatest ? CompareWith(runtime, Operator::kGreater, key, *best_key)
                           : CompareWith(runtime, Operator::kLess, key, *best_key));
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best.value_or(Value::Undefined("least or greatest item"));
}

Value Sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = Bind(runtime, "sum", arguments, {"attribute", "start"});
  const AttributePath path(runtime, bound[0]);
  Value total = bound[1].value_or(Value::Integer(0));
  for (const Value& item : runtime.Items(value)) {
    total = Arithmetic(runtime, Operator::kAdd, total, path.Of(item));
  }
  return total;
}

constexpr FilterEntry kFilters[] = {
    {"abs", Abs},
    {"capitalize", MapText<Capitalised>},
    {"count", Length},
    {"d", Default},
    {"default", Default},
    {"dictsort", DictSort},
    {"first", First},
    {"float", Float},
    {"format", Format},
    {"indent", Indent},
    {"int", Int},
    {"items", Items},
    {"join", Join},
    {"last", Last},
    {"length", Length},
    {"list", ListFilter},
    {"lower", MapText<Lower>},
    {"map", Map},
    {"max", Extreme<true>},
    {"min", Extreme<false>},
    {"reject", Select<false, false>},
    {"rejectattr", Select<false, true>},
    {"replace", Replace},
    {"reverse", Reverse},
    {"round", Round},
    {"safe", String},
    {"select", Select<true, false>},
    {"selectattr", Select<true, true>},
    {"sort", Sort},
    {"string", String},
    {"sum", Sum},
    {"title", MapText<TitleFilter>},
    {"tojson", ToJsonFilter},
    {"trim", Trim},
    {"unique", Unique},
    {"upper", MapText<Upper>},
};

}  // namespace

const FilterEntry* FindFilter(std::string_view name) {
  for (const FilterEntry& entry : kFilters) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace moescope::text::jinja
