// The bundled page as bytes of the program. The assembler reads the file, which costs nothing even
// for a megabyte; GCC and Clang take the same directives.
#include <cstddef>

#include "study/report/report_page.h"

asm(".pushsection .rodata\n"
    ".global moescope_page_begin\n"
    ".hidden moescope_page_begin\n"
    ".global moescope_page_end\n"
    ".hidden moescope_page_end\n"
    "moescope_page_begin:\n"
    ".incbin \"" MOESCOPE_PAGE_FILE
    "\"\n"
    "moescope_page_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char moescope_page_begin[] __attribute__((visibility("hidden")));
extern const char moescope_page_end[] __attribute__((visibility("hidden")));
}

namespace moescope::study {

std::string_view PageTemplate() {
  return {moescope_page_begin, static_cast<size_t>(moescope_page_end - moescope_page_begin)};
}

}  // namespace moescope::study
