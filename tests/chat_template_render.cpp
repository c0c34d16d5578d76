// Our side of chat_template_against_jinja.py: a JSON object a line in, one a line out.
//   in:   {"template": "...", "request": {"messages": [...], "tools": ..., ...}}
//   out:  {"text": "..."} or {"error": "..."}
// The clock stands at 26 July 2024, 09:05:03.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "text/chat_template.h"

namespace {

using moescope::text::ChatRequest;
using moescope::text::ChatValue;

std::tm FixedTime() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 9;
  time.tm_min = 5;
  time.tm_sec = 3;
  time.tm_wday = 5;
  time.tm_yday = 207;
  return time;
}

ChatRequest RequestOf(const ChatValue& tree) {
  ChatRequest request;
  request.now = FixedTime;
  request.variables = *tree.dict();
  return request;
}

std::string Answer(const std::string& line) {
  nlohmann::json answer;
  try {
    const ChatValue input = moescope::text::ParseChatValue(line, "line");
    const moescope::text::ChatTemplate chat(*input.Find("template")->text());
    answer["text"] = chat.Render(RequestOf(*input.Find("request")));
  } catch (const moescope::Error& error) {
    answer["error"] = error.what();
  }
  return answer.dump();
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << Answer(line) << std::endl;
  return 0;
}
