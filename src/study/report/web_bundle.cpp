// The assembler reads the files, which costs nothing even for a megabyte; GCC and Clang take the
// same directives.
#include "study/report/web_bundle.h"

#include <cstddef>

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

MOESCOPE_EMBED("page", MOESCOPE_PAGE_FILE);
MOESCOPE_EMBED("charts", MOESCOPE_CHARTS_FILE);

extern "C" {
extern const char moescope_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_page_end[] __attribute__((visibility("hidden")));
extern const char moescope_charts_begin[] __attribute__((visibility("hidden")));
extern const char moescope_charts_end[] __attribute__((visibility("hidden")));
}

namespace moescope::study {

std::string_view PageTemplate() {
  return {moescope_page_begin, static_cast<size_t>(moescope_page_end - moescope_page_begin)};
}

std::string_view ChartTemplates() {
  return {moescope_charts_begin, static_cast<size_t>(moescope_charts_end - moescope_charts_begin)};
}

}  // namespace moescope::study
