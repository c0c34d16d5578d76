#include "text/text_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace moescope::text {
namespace {

[[noreturn]] void Refuse(std::string_view pattern, size_t position, std::string_view expected) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use template '{}'@{}: expected {}; write it like "
                          "'{{instruction}}\\n{{response}}'",
                          pattern, position, expected));
}

char Unescape(std::string_view pattern, size_t position) {
  const char escaped = position < pattern.size() ? pattern[position] : '\0';
  switch (escaped) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '\\':
    case '{':
    case '}':
      return escaped;
    default:
      Refuse(pattern, position, "one of n t r \\ { } after a backslash");
  }
}

}  // namespace

TextTemplate::TextTemplate(std::string_view pattern) {
  std::string literal;
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '\\') {
      literal.push_back(Unescape(pattern, ++at));
    } else if (pattern[at] == '}') {
      Refuse(pattern, at, "'{' before '}'");
    } else if (pattern[at] == '{') {
      const size_t end = pattern.find_first_of("{}", at + 1);
      if (end == std::string_view::npos || pattern[end] == '{' || end == at + 1) {
        Refuse(pattern, at, "a field's name and '}' after '{'");
      }
      parts_.push_back({std::move(literal), FieldIndex(pattern.substr(at + 1, end - at - 1))});
      literal.clear();
      at = end;
    } else {
      literal.push_back(pattern[at]);
    }
  }
  tail_ = std::move(literal);
  if (parts_.empty()) Refuse(pattern, 0, "at least one {field}");
}

size_t TextTemplate::FieldIndex(std::string_view name) {
  const auto found = std::find(fields_.begin(), fields_.end(), name);
  const auto index = static_cast<size_t>(found - fields_.begin());
  if (found == fields_.end()) fields_.emplace_back(name);
  return index;
}

std::string TextTemplate::Fill(const std::function<const std::string&(size_t)>& value) const {
  std::string text;
  for (const Part& part : parts_) text.append(part.literal).append(value(part.field));
  return text += tail_;
}

}  // namespace moescope::text
