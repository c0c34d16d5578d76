#include "study/figures/coloured_token.h"

#include <fmt/format.h>

#include "study/figures/palette.h"
#include "study/figures/utf8.h"

namespace moescope::study {

std::string SubscriptNumber(int number) {
  if (number < 0) return "";
  std::string text;
  for (char digit : fmt::format("{}", number)) {
    AppendUtf8(0x2080 + static_cast<uint32_t>(digit - '0'), text);
  }
  return text;
}

std::string MarkText(const std::string& text, const ExpertMark& mark) {
  if (text.empty()) return "";
  const size_t last = text.find_last_not_of('\n');
  const size_t end = last == std::string::npos ? 0 : last + 1;
  const std::string label =
      mark.with_number || !mark.colour ? SubscriptNumber(mark.expert) : std::string();
  if (!mark.colour) return text.substr(0, end) + label + text.substr(end);
  const Colour colour = ExpertColour(mark.expert);
  const std::string begin =
      fmt::format("\x1b[48;2;{};{};{}m\x1b[30m", colour.red, colour.green, colour.blue);
  constexpr const char* kReset = "\x1b[0m";
  std::string out;
  for (size_t at = 0; at < end;) {
    const size_t line_end = std::min(text.find('\n', at), end);
    const bool is_last = line_end == end;
    const std::string line = text.substr(at, line_end - at) + (is_last ? label : "");
    if (!line.empty()) out += begin + line + kReset;
    if (!is_last) out += '\n';
    at = line_end + 1;
  }
  return out + text.substr(end);
}

}  // namespace moescope::study
