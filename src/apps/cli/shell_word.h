// Commands shown to be typed again.
#pragma once

#include <string>

namespace moescope::cli {

// The word as a POSIX shell takes it: as it is, or in quotes where it has other than letters,
// digits and a few harmless marks.
std::string ShellWord(const std::string& word);

}  // namespace moescope::cli
