// Tests: `x is string`, `x is divisibleby 3`.
#include <fmt/format.h>

#include <cmath>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"

namespace moescope::text::jinja {
namespace {

template <Kind kind>
bool IsKind(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "a test", arguments, {});
  return value.is(kind);
}

template <bool (*Holds)(const Value&)>
bool Plain(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "a test", arguments, {});
  return Holds(value);
}

bool Defined(const Value& value) {
  return !value.is_undefined();
}
bool True(const Value& value) {
  return value.is(Kind::kBoolean) && value.boolean;
}
bool False(const Value& value) {
  return value.is(Kind::kBoolean) && !value.boolean;
}
bool Number(const Value& value) {
  return value.is_number();
}
bool Iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_list_like() ||
         value.is(Kind::kIterator) || value.is(Kind::kRange) || value.is(Kind::kDict) ||
         value.is(Kind::kLoop);
}
bool Sequence(const Value& value) {
  // As jinja2: has a length and can be subscripted, whatever that means for a dict.
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple) ||
         value.is(Kind::kRange) || value.is(Kind::kDict) || value.is_undefined();
}
bool Callable(const Value& value) {
  return value.is(Kind::kFunction) || value.is(Kind::kMethod) || value.is(Kind::kMacro) ||
         value.is(Kind::kLoop) || value.is_undefined();
}

Value OneArgument(const Runtime& runtime, const Arguments& arguments) {
  const auto bound = Bind(runtime, "a test", arguments, {"other"});
  if (!bound[0]) runtime.Refuse("a test needs an argument");
  return *bound[0];
}

template <Operator op>
bool Compares(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return CompareWith(runtime, op, value, OneArgument(runtime, arguments));
}

// Whatever `%` means for the value: a text is formatted, and then equal to no number.
bool LeavesRemainder(Runtime& runtime, const Value& value, const Value& divisor, int64_t expected) {
  const Value remainder = Arithmetic(runtime, Operator::kModulo, value, divisor);
  return runtime.Equal(remainder, Value::Integer(expected));
}
bool Odd(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "odd", arguments, {});
  return LeavesRemainder(runtime, value, Value::Integer(2), 1);
}
bool Even(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "even", arguments, {});
  return LeavesRemainder(runtime, value, Value::Integer(2), 0);
}
bool DivisibleBy(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return LeavesRemainder(runtime, value, OneArgument(runtime, arguments), 0);
}

// Identity: what Python promises for singletons; texts and numbers are compared by value.
bool SameAs(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Value other = OneArgument(runtime, arguments);
  if (value.kind != other.kind) return false;
  if (value.is_list_like()) return value.list == other.list;
  if (value.is(Kind::kDict)) return value.dict == other.dict;
  return runtime.Equal(value, other);
}

template <std::string (*Map)(std::string_view)>
bool IsMapped(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Bind(runtime, "a test", arguments, {});
  const std::string_view text = runtime.Text(value);
  runtime.Scan(text.size() * 8);
  runtime.NeedRoom(text.size() * 3);
  const std::string mapped = Map(text);
  // str.islower and str.isupper: unchanged, and with letters that have a case at all.
  return mapped == text && (Lower(text) != text || Upper(text) != text);
}

constexpr TestEntry kTests[] = {
    {"defined", Plain<Defined>},
    {"undefined", IsKind<Kind::kUndefined>},
    {"none", IsKind<Kind::kNone>},
    {"boolean", IsKind<Kind::kBoolean>},
    {"true", Plain<True>},
    {"false", Plain<False>},
    {"integer", IsKind<Kind::kInteger>},
    {"float", IsKind<Kind::kFloat>},
    {"number", Plain<Number>},
    {"string", IsKind<Kind::kString>},
    {"mapping", IsKind<Kind::kDict>},
    {"sequence", Plain<Sequence>},
    {"iterable", Plain<Iterable>},
    {"callable", Plain<Callable>},
    {"sameas", SameAs},
    {"lower", IsMapped<Lower>},
    {"upper", IsMapped<Upper>},
    {"odd", Odd},
    {"even", Even},
    {"divisibleby", DivisibleBy},
    {"in", Compares<Operator::kIn>},
    {"equalto", Compares<Operator::kEqual>},
    {"eq", Compares<Operator::kEqual>},
    {"==", Compares<Operator::kEqual>},
    {"ne", Compares<Operator::kNotEqual>},
    {"!=", Compares<Operator::kNotEqual>},
    {"lt", Compares<Operator::kLess>},
    {"<", Compares<Operator::kLess>},
    {"lessthan", Compares<Operator::kLess>},
    {"le", Compares<Operator::kLessEqual>},
    {"<=", Compares<Operator::kLessEqual>},
    {"gt", Compares<Operator::kGreater>},
    {">", Compares<Operator::kGreater>},
    {"greaterthan", Compares<Operator::kGreater>},
    {"ge", Compares<Operator::kGreaterEqual>},
    {">=", Compares<Operator::kGreaterEqual>},
};

}  // namespace

const TestEntry* FindTest(std::string_view name) {
  for (const TestEntry& entry : kTests) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace moescope::text::jinja
