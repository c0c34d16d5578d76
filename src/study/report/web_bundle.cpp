// The assembler reads the files, which costs nothing even for a megabyte; GCC and Clang take the
// same directives.
#include "study/report/web_bundle.h"

#include <cstddef>

#include "base/error.h"

#define MOESCOPE_EMBED(name, file) \
  asm(".pushsection .rodata\n"     \
      ".global moescope_" name     \
      "_begin\n"                   \
      ".hidden moescope_" name     \
      "_begin\n"                   \
      ".global moescope_" name     \
      "_end\n"                     \
      ".hidden moescope_" name     \
      "_end\n"                     \
      "moescope_" name             \
      "_begin:\n"                  \
      ".incbin \"" file            \
      "\"\n"                       \
      "moescope_" name             \
      "_end:\n"                    \
      ".byte 0\n"                  \
      ".popsection\n")

MOESCOPE_EMBED("report_page", MOESCOPE_WEB "/report.html");
MOESCOPE_EMBED("attention_page", MOESCOPE_WEB "/attention.html");
MOESCOPE_EMBED("experts_page", MOESCOPE_WEB "/experts.html");
MOESCOPE_EMBED("charts", MOESCOPE_WEB "/charts.json");

extern "C" {
extern const char moescope_report_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_report_page_end[] __attribute__((visibility("hidden")));
extern const char moescope_attention_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_attention_page_end[] __attribute__((visibility("hidden")));
extern const char moescope_experts_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_experts_page_end[] __attribute__((visibility("hidden")));
extern const char moescope_charts_begin[] __attribute__((visibility("hidden")));
extern const char moescope_charts_end[] __attribute__((visibility("hidden")));
}

namespace moescope::study {
namespace {

std::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

std::string_view PageTemplate(Page page) {
  switch (page) {
    case Page::kReport:
      return Between(moescope_report_page_begin, moescope_report_page_end);
    case Page::kAttention:
      return Between(moescope_attention_page_begin, moescope_attention_page_end);
    case Page::kExperts:
      return Between(moescope_experts_page_begin, moescope_experts_page_end);
  }
  MOESCOPE_CHECK(false);
  return {};
}

std::string_view ChartTemplates() {
  return Between(moescope_charts_begin, moescope_charts_end);
}

}  // namespace moescope::study
