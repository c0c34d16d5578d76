#include "base/platform/durable_directory.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/platform/durable_file.h"

namespace moescope {
namespace {

namespace fs = std::filesystem;

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void RequireFreeOrEmpty(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return;
  const bool is_folder = fs::is_directory(status);
  if (is_folder && fs::is_empty(path, error) && !error) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot write: {}: expected a free name or an empty folder, found {}; "
                          "choose another name",
                          path, is_folder ? "a folder with files" : "a file"));
}

}  // namespace

DurableDirectory::DurableDirectory(const std::string& path)
    : path_(WithoutTrailingSlashes(path)), temporary_(path_ + ".partial") {
  RequireFreeOrEmpty(path_);
  if (mkdir(temporary_.c_str(), 0777) == 0) return;
  if (errno != EEXIST) {
    const int reason = errno;
    throw Error(ErrorKind::kIo,
                fmt::format("cannot create: {}: {}", temporary_,
                            std::error_code(reason, std::generic_category()).message()));
  }
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot write: {}: expected a free name, found what another run writes or "
                  "has left; remove it if no other run is at work",
                  temporary_));
}

DurableDirectory::~DurableDirectory() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

std::string DurableDirectory::PathOf(const std::string& name) const {
  return temporary_ + "/" + name;
}

void DurableDirectory::Commit() {
  SyncDirectory(temporary_);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) ThrowWriteError(errno, path_, 0);
  committed_ = true;
  const std::string parent = fs::path(path_).parent_path().string();
  SyncDirectory(parent.empty() ? "." : parent);
}

}  // namespace moescope
