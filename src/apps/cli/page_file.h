// Writing a page that `-o` names.
#pragma once

#include <string>

namespace moescope::cli {

// Throws Error(kIo) when a page cannot be written there, saying what to do: asked before the work
// that makes it, which may take a while, rather than after.
void CheckPageWritable(const std::string& path);
// Throws Error(kIo).
void WritePage(const std::string& path, const std::string& page);

}  // namespace moescope::cli
