// The one exception type of moescope and the table from its kinds to exit codes.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace moescope {

enum class ErrorKind {
  kUsage,        // the command line cannot be parsed
  kBadInput,     // parsed, but a value or file is refused
  kNotFound,     // a file, run, data set or name that does not exist
  kCorrupt,      // a file that contradicts its own format
  kUnsupported,  // valid, but not something moescope does
  kResource,     // not enough memory for what was asked
  kIo,           // the operating system failed to read or write; disk full
  kCancelled,    // stopped by the user
  kInternal,     // a bug of ours
};

// Process exit code of a kind: 64, 2 (bad input, not found, corrupt, unsupported), 3, 4, 5, 1.
int ExitCode(ErrorKind kind);
// "usage", "bad input", ... as printed in logs and --json errors.
std::string_view Name(ErrorKind kind);

// Message form: `what failed: path[@offset]: expected X, found Y`, then what to do about it.
// Library code throws it; only main, a worker's boundary, a binding or an HTTP handler catches it.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws Error(kIo) with strerror(errno_value): "cannot <action>: <path>: <reason>".
// ENOENT becomes kNotFound; ENOMEM kResource.
[[noreturn]] void ThrowErrno(int errno_value, std::string_view action, const std::string& path);

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace moescope

// For our own bugs only, never for input: throws Error(kInternal).
#define MOESCOPE_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::moescope::CheckFailed(#condition, __FILE__, __LINE__))
