// The bundled pages as bytes of the program. The assembler reads the files, which costs nothing
// even for a megabyte; GCC and Clang take the same directives.
#include <cstddef>

#include "base/error.h"
#include "study/report/report_page.h"

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

MOESCOPE_EMBED("report_page", MOESCOPE_PAGES "/report.html");
MOESCOPE_EMBED("attention_page", MOESCOPE_PAGES "/attention.html");

extern "C" {
extern const char moescope_report_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_report_page_end[] __attribute__((visibility("hidden")));
extern const char moescope_attention_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_attention_page_end[] __attribute__((visibility("hidden")));
}

namespace moescope::study {

std::string_view PageTemplate(Page page) {
  auto between = [](const char* begin, const char* end) {
    return std::string_view(begin, static_cast<size_t>(end - begin));
  };
  switch (page) {
    case Page::kReport:
      return between(moescope_report_page_begin, moescope_report_page_end);
    case Page::kAttention:
      return between(moescope_attention_page_begin, moescope_attention_page_end);
  }
  MOESCOPE_CHECK(false);
  return {};
}

}  // namespace moescope::study
