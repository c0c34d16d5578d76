#include "text/word_template.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"

namespace moescope::text {
namespace {

constexpr std::string_view kPlace = "{}";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

size_t CountPlaces(std::string_view line) {
  size_t n = 0;
  for (size_t at = line.find(kPlace); at != line.npos; at = line.find(kPlace, at + kPlace.size())) {
    ++n;
  }
  return n;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == line.npos;
}

[[noreturn]] void Refuse(const std::string& name, size_t line, const std::string& what) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot take the templates: {}: line {}: {}", name, line, what));
}

WordTemplate ParseLine(std::string_view line, const std::string& name, size_t number) {
  if (line.size() > kMaxTemplateBytes) {
    Refuse(name, number,
           fmt::format("expected at most {} bytes, found {}", kMaxTemplateBytes, line.size()));
  }
  if (const size_t n = CountPlaces(line); n != 1) {
    Refuse(name, number,
           fmt::format("expected {{}} once, found it {} times; a template is a line with {{}} "
                       "where the word goes",
                       n));
  }
  const size_t place = line.find(kPlace);
  return {std::string(line.substr(0, place)), std::string(line.substr(place + kPlace.size()))};
}

}  // namespace

std::vector<WordTemplate> ParseWordTemplates(std::string_view text, const std::string& name) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<WordTemplate> templates;
  std::map<std::string_view, size_t> seen;  // line -> its number
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (IsBlank(line)) continue;
    templates.push_back(ParseLine(line, name, number));
    // Templates are what intervals resample: one that counts twice would make them too narrow.
    const auto [first, is_new] = seen.try_emplace(line, number);
    if (!is_new) Refuse(name, number, fmt::format("the same as line {}", first->second));
    if (templates.size() > kMaxTemplates) {
      Refuse(name, number, fmt::format("expected at most {} templates", kMaxTemplates));
    }
  }
  if (templates.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot take the templates: {}: expected lines with {{}} where the "
                            "word goes, found none",
                            name));
  }
  return templates;
}

}  // namespace moescope::text
