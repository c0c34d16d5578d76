// `moescope PATH`, without a command: says what the path is and what to do next.
#pragma once

#include <string>

namespace moescope::cli {

// True when `path` is something moescope can look at: a file or folder that exists.
bool IsDescribable(const std::string& path);
// Prints one or two lines about a run or a checkpoint, then commands to try.
// Throws Error as Run::Open and Checkpoint::Open.
void DescribePath(const std::string& path);

}  // namespace moescope::cli
