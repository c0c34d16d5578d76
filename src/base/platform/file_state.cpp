#include "base/platform/file_state.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/error.h"

namespace moescope {

FileState StateOf(int descriptor, const std::string& path) {
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) ThrowErrno(errno, "inspect", path);
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .n_bytes = static_cast<uint64_t>(status.st_size),
          .written_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

}  // namespace moescope
