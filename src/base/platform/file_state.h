// What fstat says of an open file, for the implementations of files.
#pragma once

#include <string>

#include "base/platform/file.h"

namespace moescope {

// Of an open descriptor. Throws Error(kIo).
FileState StateOf(int descriptor, const std::string& path);

}  // namespace moescope
