// What a renderer does for a call: macros, and the functions that every template finds.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/jinja/renderer.h"

namespace moescope::text::jinja {

Value Renderer::Call(const Value& callee, const Arguments& arguments) {
  runtime_.Step();
  switch (callee.kind) {
    case Kind::kMethod:
      return callee.method->entry->call(runtime_, callee.method->self, arguments);
    case Kind::kMacro:
      return CallMacro(*callee.macro, arguments);
    case Kind::kFunction:
      return CallFunction(callee.function, arguments);
    default:
      runtime_.RefuseKind("call", callee);
  }
}

Value Renderer::CallFunction(Function function, const Arguments& arguments) {
  switch (function) {
    case Function::kRange:
      return CallRange(arguments);
    case Function::kNamespace:
      return CallNamespace(arguments);
    case Function::kDict:
      return CallDict(arguments);
    case Function::kRaiseException: {
      const auto message = Bind(runtime_, "raise_exception", arguments, {"message"})[0];
      runtime_.Refuse(fmt::format("the template says: {}",
                                  message ? runtime_.Text(*message).substr(0, 1000) : ""));
    }
    case Function::kStrftimeNow:
      return CallStrftime(arguments);
  }
  return {};
}

Value Renderer::CallRange(const Arguments& arguments) {
  const std::vector<Value>& given = arguments.positional;
  const bool integers = std::all_of(given.begin(), given.end(),
                                    [](const Value& value) { return value.is_integral(); });
  if (given.empty() || given.size() > 3 || !integers || !arguments.named.empty()) {
    runtime_.Refuse("range: expected one to three integers");
  }
  const int64_t start = given.size() > 1 ? given[0].as_integer() : 0;
  const int64_t stop = given[given.size() > 1 ? 1 : 0].as_integer();
  const int64_t step = given.size() > 2 ? given[2].as_integer() : 1;
  if (step == 0) runtime_.Refuse("range: the step is zero");
  // Sums of a few of them fit 64 bits.
  constexpr int64_t kLargest = int64_t{1} << 60;
  for (const int64_t number : {start, stop, step}) {
    if (number > kLargest || number < -kLargest) runtime_.Unsupported("a range beyond 2^60");
  }
  const int64_t distance = step > 0 ? stop - start : start - stop;
  const int64_t stride = step > 0 ? step : -step;
  const int64_t n = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  if (n > kMaxRange) {
    runtime_.Refuse(fmt::format("expected at most {} numbers in a range, found more", kMaxRange));
  }
  return runtime_.NewRange({start, step, static_cast<size_t>(n)});
}

// dict(other, name=value, ...), also what a namespace begins with.
Value Renderer::CallDict(const Arguments& arguments) {
  std::vector<Entry> entries;
  if (arguments.positional.size() > 1) runtime_.Refuse("dict: expected at most one dict");
  if (!arguments.positional.empty()) {
    const Value& other = arguments.positional[0];
    if (!other.is(Kind::kDict)) runtime_.RefuseKind("make a dict of", other);
    entries.assign(other.dict->entries, other.dict->entries + other.dict->n);
  }
  for (const auto& [name, value] : arguments.named) {
    runtime_.SetEntry(Value::String(name), value, entries);
  }
  return runtime_.NewDict(entries);
}

Value Renderer::CallNamespace(const Arguments& arguments) {
  const Value dict = CallDict(arguments);
  runtime_.Count(sizeof(Namespace));
  Namespace& result = namespaces_.emplace_back();
  for (size_t i = 0; i < dict.dict->n; ++i) {
    const Entry& entry = dict.dict->entries[i];
    if (!entry.key.is_string()) runtime_.RefuseKind("name an attribute by", entry.key);
    result.attributes.emplace_back(entry.key.text(), entry.value);
    runtime_.Count(sizeof(result.attributes[0]) * 2);
  }
  Value value = Value::OfKind(Kind::kNamespace);
  value.name_space = &result;
  return value;
}

// Only conversions that mean the same everywhere and write little.
Value Renderer::CallStrftime(const Arguments& arguments) {
  const auto format = Bind(runtime_, "strftime_now", arguments, {"format"})[0];
  if (!format || !format->is_string()) runtime_.Refuse("strftime_now: expected a format");
  const std::tm time = now_();
  std::string out;
  const std::string_view text = format->text();
  runtime_.Scan(text.size() * 16);
  for (size_t at = 0; at < text.size(); ++at) {
    runtime_.NeedRoom(out.size() + 100);
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    std::string conversion = "%";
    if (at + 1 < text.size() && text[at + 1] == '-') conversion += text[++at];
    const char letter = ++at < text.size() ? text[at] : '\0';
    constexpr std::string_view kLetters = "aAwdbBmyYHIpMSjUWcxX%";
    if (letter == '\0' || kLetters.find(letter) == std::string_view::npos) {
      runtime_.Unsupported(fmt::format("strftime_now with a conversion other than {}", kLetters));
    }
    conversion += letter;
    std::array<char, 100> buffer;
    out.append(buffer.data(),
               std::strftime(buffer.data(), buffer.size(), conversion.c_str(), &time));
  }
  return runtime_.NewString(out);
}

// In a scope of the macro's own: parameters, defaults in order, varargs, kwargs and caller.
void Renderer::BindParameters(const Macro& macro, const Arguments& arguments) {
  const Node& node = *macro.node;
  const NodeExtra& extra = *node.extra;
  const size_t n = extra.parameters.size();
  const size_t n_defaults = node.children.size() - 1;
  std::vector<bool> taken(arguments.named.size());
  const auto take = [&](std::string_view name) -> const Value* {
    for (size_t i = 0; i < arguments.named.size(); ++i) {
      if (arguments.named[i].first != name || taken[i]) continue;
      taken[i] = true;
      return &arguments.named[i].second;
    }
    return nullptr;
  };
  for (size_t i = 0; i < n; ++i) {
    const std::string_view name = template_.symbols[static_cast<size_t>(extra.parameters[i])];
    Value value = Value::Undefined(name);
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else if (const Value* named = take(name)) {
      value = *named;
    } else if (i + n_defaults >= n) {
      value = Evaluate(*node.children[1 + i + n_defaults - n]);
    }
    SetVariable(extra.parameters[i], value);
  }
  if (extra.uses_caller) {
    const Value* caller = take("caller");
    SetVariable(caller_symbol_, caller == nullptr ? Value::Undefined("caller") : *caller);
  }
  if (extra.uses_kwargs) {
    std::vector<Entry> rest;
    for (size_t i = 0; i < arguments.named.size(); ++i) {
      if (taken[i]) continue;
      taken[i] = true;
      rest.push_back({Value::String(arguments.named[i].first), arguments.named[i].second});
    }
    SetVariable(kwargs_symbol_, runtime_.NewDict(rest));
  }
  const auto surplus = std::find(taken.begin(), taken.end(), false);
  if (surplus != taken.end()) {
    runtime_.Refuse(fmt::format(
        "macro '{}': unexpected argument '{}'", macro.name,
        arguments.named[static_cast<size_t>(surplus - taken.begin())].first.substr(0, 80)));
  }
  if (extra.uses_varargs) {
    const std::span<const Value> given = arguments.positional;
    SetVariable(varargs_symbol_,
                runtime_.NewList(given.subspan(std::min(n, given.size())), Kind::kTuple));
  } else if (arguments.positional.size() > n) {
    runtime_.Refuse(fmt::format("macro '{}': expected at most {} arguments, found {}", macro.name,
                                n, arguments.positional.size()));
  }
}

Value Renderer::CallMacro(const Macro& macro, const Arguments& arguments) {
  std::string text;
  std::string* const outer_out = std::exchange(out_, &text);
  Scope* const outer = std::exchange(scope_, NewScope(macro.scope));
  BindParameters(macro, arguments);
  Execute(*macro.node->children[0]);
  ReleaseScope(scope_);
  scope_ = outer;
  out_ = outer_out;
  n_out_bytes_ -= text.size();
  return runtime_.NewString(text);
}

}  // namespace moescope::text::jinja
