#include "text/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja/python_text.h"

namespace moescope::text::jinja {
namespace {

[[noreturn]] void RefuseOperands(const Runtime& runtime, Operator op, const Value& left,
                                 const Value& right) {
  if (left.is_undefined()) runtime.RefuseKind("compute with", left);
  if (right.is_undefined()) runtime.RefuseKind("compute with", right);
  runtime.Refuse(
      fmt::format("cannot compute {} {} {}", Name(left.kind), Name(op), Name(right.kind)));
}

int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Value IntegerPower(const Runtime& runtime, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) runtime.Refuse("division by zero");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  if (base == 1 || base == 0) return Value::Integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::Integer(exponent % 2 == 0 ? 1 : -1);
  for (int64_t i = 0; i < exponent; ++i) {  // at most 64 times
    if (__builtin_mul_overflow(result, base, &result)) {
      runtime.Unsupported("an integer beyond 64 bits");
    }
  }
  return Value::Integer(result);
}

Value IntegerArithmetic(const Runtime& runtime, Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::kPower:
      return IntegerPower(runtime, a, b);
    default:
      if (b == 0) runtime.Refuse("division by zero");
      if (op == Operator::kDivide) {
        return Value::Float(static_cast<double>(a) / static_cast<double>(b));
      }
      overflow = b == -1 && a == INT64_MIN;
      if (overflow) break;
      result = FloorDivide(a, b);
      if (op == Operator::kModulo) result = a - result * b;
  }
  if (overflow) runtime.Unsupported("an integer beyond 64 bits");
  return Value::Integer(result);
}

Value FloatArithmetic(const Runtime& runtime, Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return Value::Float(a + b);
    case Operator::kSubtract:
      return Value::Float(a - b);
    case Operator::kMultiply:
      return Value::Float(a * b);
    case Operator::kPower: {
      if (a == 0 && b < 0) runtime.Refuse("division by zero");
      const double result = std::pow(a, b);
      if (std::isfinite(a) && std::isfinite(b) && !std::isfinite(result)) {
        runtime.Unsupported("a power that is no finite number");
      }
      return Value::Float(result);
    }
    default:
      break;
  }
  if (b == 0) runtime.Refuse("division by zero");
  if (op == Operator::kDivide) return Value::Float(a / b);
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (op == Operator::kModulo) return Value::Float(remainder);
  double floor = quotient == 0 ? std::copysign(0.0, a / b) : std::floor(quotient);
  if (quotient - floor > 0.5) floor += 1;
  return Value::Float(floor);
}

Value Repeat(Runtime& runtime, const Value& sequence, int64_t count) {
  const size_t n = sequence.is_string() ? sequence.n_bytes : sequence.list->n;
  const size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  size_t total = 0;
  if (__builtin_mul_overflow(n, times, &total)) total = SIZE_MAX / 2;
  if (sequence.is_string()) {
    runtime.NeedRoom(total);
    std::string text;
    text.reserve(total);
    for (size_t i = 0; i < times && n > 0; ++i) text += sequence.text();
    return runtime.NewString(text);
  }
  runtime.CheckCount(total);
  std::vector<Value> items;
  for (size_t i = 0; i < times && n > 0; ++i) {
    items.insert(items.end(), sequence.list->items, sequence.list->items + n);
  }
  return runtime.NewList(items, sequence.kind);
}

bool IsRepeatable(const Value& value) {
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple);
}

// Of a slice, whose parts are integers or none: where it begins, and how many items it has.
struct SliceBounds {
  int64_t start = 0, step = 1;
  size_t n = 0;
};

SliceBounds Bounds(const Runtime& runtime, size_t length, const Value& start, const Value& stop,
                   const Value& step) {
  const auto n = static_cast<int64_t>(length);
  SliceBounds bounds;
  bounds.step = step.is(Kind::kNone) ? 1 : std::max(step.as_integer(), -INT64_MAX);
  if (bounds.step == 0) runtime.Refuse("a slice's step is zero");
  const bool back = bounds.step < 0;
  const auto clamp = [&](int64_t index) {
    if (index < 0) index = std::max(index, -n - 1) + n;
    return std::clamp<int64_t>(index, back ? -1 : 0, back ? n - 1 : n);
  };
  bounds.start = start.is(Kind::kNone) ? (back ? n - 1 : 0) : clamp(start.as_integer());
  const int64_t end = stop.is(Kind::kNone) ? (back ? -1 : n) : clamp(stop.as_integer());
  const int64_t distance = back ? bounds.start - end : end - bounds.start;
  const int64_t stride = back ? -bounds.step : bounds.step;
  bounds.n = distance <= 0 ? 0 : static_cast<size_t>((distance - 1) / stride + 1);
  return bounds;
}

Value SliceString(Runtime& runtime, const Value& value, const SliceBounds& bounds) {
  const std::string_view text = value.text();
  if (bounds.n == 0) return Value::String("");
  if (bounds.step == 1) {
    runtime.Scan(text.size());
    const size_t begin = ByteOfCodePoint(text, static_cast<size_t>(bounds.start));
    return Value::String(text.substr(begin, ByteOfCodePoint(text.substr(begin), bounds.n)));
  }
  // Positions of the characters, so that any step is linear.
  runtime.Step(1 + text.size() / kWordsPerStep);
  runtime.NeedRoom(text.size() * sizeof(uint32_t));
  std::vector<uint32_t> starts;
  for (size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) != 0x80)
      starts.push_back(static_cast<uint32_t>(at));
  }
  starts.push_back(static_cast<uint32_t>(text.size()));
  std::string result;
  for (size_t i = 0; i < bounds.n; ++i) {
    const auto at = static_cast<size_t>(bounds.start + static_cast<int64_t>(i) * bounds.step);
    result += text.substr(starts[at], starts[at + 1] - starts[at]);
  }
  return runtime.NewString(result);
}

Value AttributeOfLoop(Loop& loop, std::string_view name, bool& found) {
  found = true;
  const auto length = [&] { return static_cast<int64_t>(loop.Length()); };
  Value item;
  if (name == "index0") return Value::Integer(loop.index0);
  if (name == "index") return Value::Integer(loop.index0 + 1);
  if (name == "first") return Value::Boolean(loop.index0 == 0);
  if (name == "last") return Value::Boolean(!loop.Peek(item));
  if (name == "length") return Value::Integer(length());
  if (name == "revindex") return Value::Integer(length() - loop.index0);
  if (name == "revindex0") return Value::Integer(length() - loop.index0 - 1);
  if (name == "depth0") return Value::Integer(loop.depth0);
  if (name == "depth") return Value::Integer(loop.depth0 + 1);
  if (name == "previtem") return loop.index0 == 0 ? Value::Undefined("previtem") : loop.before;
  if (name == "nextitem") return loop.Peek(item) ? item : Value::Undefined("nextitem");
  found = false;
  return {};
}

// Attributes such as __class__, of which the sandbox lets none out.
bool IsPythonsOwn(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

// What `value.name` finds before the items of a dict are looked at; false when there is nothing.
bool FindAttribute(Runtime& runtime, const Value& value, std::string_view name, Method& scratch,
                   Value& result) {
  const bool was_hidden = value.is_undefined() && IsPythonsOwn(value.text());
  if (IsPythonsOwn(name) && !was_hidden) {
    result = Value::Undefined(name);  // the sandbox hides it; any use of it is refused
    return true;
  }
  if (value.is_undefined()) runtime.RefuseKind("take an attribute of", value);
  bool found = false;
  if (value.is(Kind::kLoop)) {
    result = AttributeOfLoop(*value.loop, name, found);
    if (found) return true;
  } else if (value.is(Kind::kNamespace)) {
    runtime.Step(1 + value.name_space->attributes.size() / kWordsPerStep);
    for (const auto& [key, attribute] : value.name_space->attributes) {
      if (key != name) continue;
      result = name.starts_with('_') ? Value::Undefined(name) : attribute;
      return true;
    }
  } else if (value.is(Kind::kMacro) && name == "name") {
    result = Value::String(value.macro->name);
    return true;
  }
  scratch = {value, FindMethod(runtime, value, name)};
  if (scratch.entry == nullptr) return false;
  result = Value::OfKind(Kind::kMethod);
  result.method = &scratch;
  return true;
}

bool FindItem(Runtime& runtime, const Value& value, const Value& key, Value& result) {
  if (value.is(Kind::kDict)) {
    const Value* found = runtime.Find(*value.dict, key);
    if (found != nullptr) result = *found;
    return found != nullptr;
  }
  const bool indexed = value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple) ||
                       value.is(Kind::kRange);
  if (!indexed || !key.is_integral()) return false;
  const auto n = static_cast<int64_t>(*runtime.Length(value));
  int64_t index = key.as_integer();
  if (index < 0) index += n;
  if (index < 0 || index >= n) return false;
  if (value.is(Kind::kRange)) {
    result = Value::Integer(value.range->start + value.range->step * index);
  } else if (value.is_string()) {
    result = SliceString(runtime, value, {index, 1, 1});
  } else {
    result = value.list->items[index];
  }
  return true;
}

// One conversion of a `%` format. Returns the position behind it.
size_t AppendConversion(Runtime& runtime, std::string_view format, size_t at, const Value& argument,
                        std::string& out) {
  size_t end = at;
  int precision = -1;
  if (end < format.size() && format[end] == '.') {
    precision = 0;
    while (++end < format.size() && format[end] >= '0' && format[end] <= '9' && precision < 100) {
      precision = precision * 10 + (format[end] - '0');
    }
  }
  const char type = end < format.size() ? format[end] : '\0';
  if (type == 's' && precision < 0) {
    runtime.AppendText(argument, out);
  } else if (type == 'r' && precision < 0) {
    runtime.AppendRepr(argument, out);
  } else if ((type == 'd' || type == 'i') && precision < 0) {
    if (!argument.is_integral()) runtime.RefuseKind("write with %d", argument);
    fmt::format_to(std::back_inserter(out), "{}", argument.as_integer());
  } else if (type == 'f' && precision <= 60) {
    if (!argument.is_number()) runtime.RefuseKind("write with %f", argument);
    fmt::format_to(std::back_inserter(out), "{:.{}f}", argument.as_float(),
                   precision < 0 ? 6 : precision);
  } else {
    runtime.Unsupported("a % format other than %s, %r, %d, %i, %f, %.Nf and %%");
  }
  return end + 1;
}

}  // namespace

std::string_view Name(Operator op) {
  constexpr std::array<std::string_view, 15> kNames = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kNames[static_cast<size_t>(op)];
}

Value Arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  runtime.Step();
  if (left.is_integral() && right.is_integral()) {
    return IntegerArithmetic(runtime, op, left.as_integer(), right.as_integer());
  }
  if (left.is_number() && right.is_number()) {
    return FloatArithmetic(runtime, op, left.as_float(), right.as_float());
  }
  if (op == Operator::kAdd && left.is_string() && right.is_string()) {
    return runtime.Concat(left.text(), right.text());
  }
  if (op == Operator::kAdd && left.kind == right.kind && IsRepeatable(left)) {
    std::vector<Value> items(left.list->items, left.list->items + left.list->n);
    runtime.CheckCount(items.size() + right.list->n);
    items.insert(items.end(), right.list->items, right.list->items + right.list->n);
    return runtime.NewList(items, left.kind);
  }
  if (op == Operator::kMultiply && IsRepeatable(left) && right.is_integral()) {
    return Repeat(runtime, left, right.as_integer());
  }
  if (op == Operator::kMultiply && left.is_integral() && IsRepeatable(right)) {
    return Repeat(runtime, right, left.as_integer());
  }
  if (op == Operator::kModulo && left.is_string()) {
    return FormatPercent(runtime, left.text(), right);
  }
  RefuseOperands(runtime, op, left, right);
}

Value Negative(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kFloat)) return Value::Float(-value.number);
  if (!value.is_integral()) runtime.RefuseKind("negate", value);
  return IntegerArithmetic(runtime, Operator::kSubtract, 0, value.as_integer());
}

bool CompareWith(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  switch (op) {
    case Operator::kEqual:
      return runtime.Equal(left, right);
    case Operator::kNotEqual:
      return !runtime.Equal(left, right);
    case Operator::kIn:
      return runtime.Contains(right, left);
    case Operator::kNotIn:
      return !runtime.Contains(right, left);
    default:
      break;
  }
  const std::optional<int> order = runtime.Compare(left, right);
  if (!order) return false;
  switch (op) {
    case Operator::kLess:
      return *order < 0;
    case Operator::kLessEqual:
      return *order <= 0;
    case Operator::kGreater:
      return *order > 0;
    default:
      return *order >= 0;
  }
}

Value FormatPercent(Runtime& runtime, std::string_view format, const Value& arguments) {
  const List* list = arguments.is(Kind::kTuple) ? arguments.list : nullptr;
  const size_t n_arguments = list == nullptr ? 1 : list->n;
  runtime.Scan(format.size());
  std::string out;
  size_t used = 0;
  for (size_t at = 0; at < format.size();) {
    const size_t percent = std::min(format.find('%', at), format.size());
    runtime.NeedRoom(out.size() + percent - at);
    out += format.substr(at, percent - at);
    at = percent + 1;
    if (percent == format.size()) break;
    if (at < format.size() && format[at] == '%') {
      out += '%';
      ++at;
      continue;
    }
    if (used == n_arguments) runtime.Refuse("not enough arguments for a % format");
    at =
        AppendConversion(runtime, format, at, list == nullptr ? arguments : list->items[used], out);
    ++used;
  }
  // What can be subscripted may be left unused, as in Python.
  const bool may_be_left = arguments.is(Kind::kDict) || arguments.is(Kind::kList) ||
                           arguments.is(Kind::kRange) || arguments.is_undefined();
  if (used < n_arguments && !may_be_left) {
    runtime.Refuse("more arguments than a % format has places");
  }
  return runtime.NewString(out);
}

Value GetAttribute(Runtime& runtime, const Value& value, std::string_view name, Method& scratch) {
  runtime.Step();
  Value result;
  if (FindAttribute(runtime, value, name, scratch, result)) return result;
  if (FindItem(runtime, value, Value::String(name), result)) return result;
  return Value::Undefined(name);
}

Value GetItem(Runtime& runtime, const Value& value, const Value& key) {
  runtime.Step();
  if (value.is_undefined()) runtime.RefuseKind("take an item of", value);
  Value result;
  if (FindItem(runtime, value, key, result)) return result;
  if (!key.is_string()) return Value::Undefined("item");
  Method method;
  if (!FindAttribute(runtime, value, key.text(), method, result)) {
    return Value::Undefined(key.text());
  }
  return result.is(Kind::kMethod) ? runtime.NewMethod(method) : result;
}

Value GetSlice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
               const Value& step) {
  if (!IsRepeatable(value) && !value.is(Kind::kRange)) runtime.RefuseKind("slice", value);
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is_integral() && !bound->is(Kind::kNone)) runtime.RefuseKind("slice by", *bound);
  }
  const SliceBounds bounds = Bounds(runtime, *runtime.Length(value), start, stop, step);
  if (value.is_string()) return SliceString(runtime, value, bounds);
  if (value.is(Kind::kRange)) {
    const Range& range = *value.range;
    // The product of the steps fits where there are two items; elsewhere any step other than 1
    // does.
    int64_t slice_step = range.step == 1 && bounds.step == 1 ? 1 : 2;
    if (bounds.n > 1) slice_step = range.step * bounds.step;
    const int64_t first = bounds.n > 0 ? range.start + bounds.start * range.step : range.start;
    return runtime.NewRange({first, slice_step, bounds.n});
  }
  std::vector<Value> items;
  items.reserve(bounds.n);
  for (size_t i = 0; i < bounds.n; ++i) {
    items.push_back(value.list->items[bounds.start + static_cast<int64_t>(i) * bounds.step]);
  }
  return runtime.NewList(items, value.kind);
}

}  // namespace moescope::text::jinja
