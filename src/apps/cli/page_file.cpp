#include "apps/cli/page_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/platform/durable_file.h"

namespace moescope::cli {

void CheckPageWritable(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw Error(
        ErrorKind::kIo,
        fmt::format("cannot write the page: {}: expected a file name, found a directory", path));
  }
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw Error(
        ErrorKind::kIo,
        fmt::format("cannot write the page: {}: the folder {} does not exist; create it first",
                    path, folder.string()));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw Error(
        ErrorKind::kIo,
        fmt::format("cannot write the page: {}: the folder {} is not writable; choose another -o",
                    path, folder.string()));
  }
}

// A place that cannot be written to is an I/O failure here, also where the system calls it missing.
void WritePage(const std::string& path, const std::string& page) {
  try {
    ReplaceFile(path, AsBytes(page));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    throw Error(ErrorKind::kIo, error.what());
  }
}

}  // namespace moescope::cli
