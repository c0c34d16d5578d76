// Text out of files, made safe for a terminal.
#pragma once

#include <string>

namespace moescope::cli {

// Messages quote names out of hostile files: whatever could move a terminal's cursor becomes '?'.
std::string Printable(std::string text);

}  // namespace moescope::cli
