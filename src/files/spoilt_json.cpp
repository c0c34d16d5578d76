#include "files/spoilt_json.h"

#include <fmt/format.h>

namespace moescope::files {

std::vector<Member> Members(const std::string& text) {
  std::vector<Member> members;
  for (size_t at = text.find("\":"); at != std::string::npos; at = text.find("\":", at + 1)) {
    size_t begin = text.rfind('"', at - 1);
    size_t value = at + 2;
    while (text[value] == ' ' || text[value] == '\n') ++value;
    int depth = 0;
    bool quoted = false;
    size_t end = value;
    for (; end < text.size(); ++end) {
      char c = text[end];
      if (c == '"') quoted = !quoted;
      if (quoted) continue;
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    }
    members.push_back({text.substr(begin + 1, at - begin - 1), begin, value, end});
  }
  return members;
}

const std::vector<std::string>& NastyJson() {
  static const std::vector<std::string> values = [] {
    std::vector<std::string> list = {"-1",
                                     "-9223372036854775808",
                                     "18446744073709551616",
                                     "1e400",
                                     "1.5",
                                     "2.0",
                                     "null",
                                     "true",
                                     "\"x\"",
                                     "\"32\"",
                                     "[]",
                                     "[1]",
                                     "{}",
                                     "",
                                     "NaN",
                                     "0x10",
                                     "01"};
    for (uint64_t value : kNastyValues) list.push_back(std::to_string(value));
    return list;
  }();
  return values;
}

void ForEachSpoiltMember(const std::string& text, const std::function<bool(const Member&)>& wanted,
                         const std::function<void(const std::string& what, const Member&,
                                                  const std::string& spoilt)>& use) {
  for (const Member& member : Members(text)) {
    if (!wanted(member)) continue;
    std::string before = text.substr(0, member.value);
    std::string after = text.substr(member.end);
    std::string present = text.substr(member.value, member.end - member.value);
    for (const std::string& value : NastyJson()) {
      if (value != present)
        use(fmt::format("{} = {}", member.key, value), member,
            fmt::format("{}{}{}", before, value, after));
    }
    std::string pair = text.substr(member.begin, member.end - member.begin);
    use(member.key + " twice", member, fmt::format("{}{}, {}{}", before, present, pair, after));
    bool last = text[member.end] != ',';
    std::string head = text.substr(0, member.begin);
    if (last && head.find_last_of(',') != std::string::npos) head.resize(head.find_last_of(','));
    use("without " + member.key, member, head + text.substr(member.end + (last ? 0 : 1)));
  }
}

}  // namespace moescope::files
