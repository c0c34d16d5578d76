#include "study/report/report_page.h"

#include "base/error.h"

namespace moescope::study {
namespace {

std::string EscapeText(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// Inside a script element only "<" can end or nest anything ("</script", "<!--"), and in JSON it
// occurs only within strings, where an escape means the same.
std::string EscapeJson(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size() + json.size() / 64);
  for (char c : json) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string RenderPage(std::string_view page_template, std::string_view title,
                       std::string_view data) {
  constexpr std::string_view kTitle = "{{title}}";
  constexpr std::string_view kData = "{{data}}";
  const size_t title_at = page_template.find(kTitle);
  MOESCOPE_CHECK(title_at != std::string_view::npos);
  const size_t after_title = title_at + kTitle.size();
  const size_t data_at = page_template.find(kData, after_title);
  MOESCOPE_CHECK(data_at != std::string_view::npos);
  std::string page;
  page.reserve(page_template.size() + data.size() + data.size() / 16);
  page += page_template.substr(0, title_at);
  page += EscapeText(title);
  page += page_template.substr(after_title, data_at - after_title);
  page += EscapeJson(data);
  page += page_template.substr(data_at + kData.size());
  return page;
}

}  // namespace moescope::study
