#include "base/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace moescope {
namespace {

struct KindRow {
  ErrorKind kind;
  std::string_view name;
  int exit_code;
};

constexpr KindRow kKinds[] = {
    {ErrorKind::kUsage, "usage", 64},
    {ErrorKind::kBadInput, "bad input", 2},
    {ErrorKind::kNotFound, "not found", 2},
    {ErrorKind::kCorrupt, "corrupt", 2},
    {ErrorKind::kUnsupported, "unsupported", 2},
    {ErrorKind::kResource, "resource", 3},
    {ErrorKind::kIo, "io", 4},
    {ErrorKind::kCancelled, "cancelled", 5},
    {ErrorKind::kInternal, "internal", 1},
};

const KindRow& Row(ErrorKind kind) {
  return kKinds[static_cast<int>(kind)];
}

}  // namespace

int ExitCode(ErrorKind kind) {
  return Row(kind).exit_code;
}
std::string_view Name(ErrorKind kind) {
  return Row(kind).name;
}

void ThrowErrno(int errno_value, std::string_view action, const std::string& path) {
  ErrorKind kind = ErrorKind::kIo;
  if (errno_value == ENOENT) kind = ErrorKind::kNotFound;
  if (errno_value == ENOMEM) kind = ErrorKind::kResource;
  throw Error(kind, fmt::format("cannot {}: {}: {}", action, path, std::strerror(errno_value)));
}

void CheckFailed(const char* condition, const char* file, int line) {
  throw Error(ErrorKind::kInternal,
              fmt::format("internal error: {}:{}: {} does not hold; please report it", file, line,
                          condition));
}

}  // namespace moescope
