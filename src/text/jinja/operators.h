// Operators, attributes and subscripts, with Python's meaning.
#pragma once

#include <string_view>

#include "text/jinja/callables.h"
#include "text/jinja/runtime.h"

namespace moescope::text::jinja {

enum class Operator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};
// As it is written.
std::string_view Name(Operator op);

// Integers beyond 64 bits are an Error(kUnsupported); kinds that do not fit, Error(kBadInput).
Value Arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value Negative(Runtime& runtime, const Value& value);
bool CompareWith(Runtime& runtime, Operator op, const Value& left, const Value& right);
// `format % arguments`.
Value FormatPercent(Runtime& runtime, std::string_view format, const Value& arguments);

// `value.name`: an attribute, else an item, else undefined. A method lies in `scratch` and is valid
// as long as that is.
Value GetAttribute(Runtime& runtime, const Value& value, std::string_view name, Method& scratch);
// `value[key]`: an item, else an attribute, else undefined.
Value GetItem(Runtime& runtime, const Value& value, const Value& key);
// `value[start:stop:step]`; none where nothing is written.
Value GetSlice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
               const Value& step);

}  // namespace moescope::text::jinja
