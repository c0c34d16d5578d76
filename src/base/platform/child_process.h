// Another program, run to its end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moescope {

struct ChildResult {
  int exit_code = 0;    // 128 + signal when a signal ended it
  std::string output;   // all of its standard output
  std::string message;  // all of its standard error
};

// Runs `command` (the program, looked up on the PATH, and its arguments) with `input` as its
// standard input and waits for it. Blocks; input and output pass through unnamed temporary files.
// Throws Error(kNotFound) when there is no such program, Error(kIo) when it cannot be run.
ChildResult RunChild(const std::vector<std::string>& command, std::string_view input);

}  // namespace moescope
