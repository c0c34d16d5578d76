#include "base/platform/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/units.h"

namespace moescope {
namespace {

std::string ParentOf(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::optional<uint64_t> FreeBytes(const std::string& path) {
  struct statvfs disk = {};
  if (statvfs(ParentOf(path).c_str(), &disk) != 0) return std::nullopt;
  return disk.f_bavail * disk.f_frsize;
}

[[noreturn]] void ThrowDiskFull(const std::string& path, uint64_t needed, uint64_t free_bytes) {
  throw Error(
      ErrorKind::kIo,
      fmt::format("cannot write: {}: disk full: {} needed, {} free; free some space and run "
                  "the same command again",
                  path, FormatBytes(needed), FormatBytes(free_bytes)));
}

}  // namespace

void RequireFreeSpace(const std::string& path, uint64_t needed) {
  const uint64_t free_bytes = FreeBytes(path).value_or(UINT64_MAX);
  if (free_bytes < needed) ThrowDiskFull(path, needed, free_bytes);
}

void ThrowWriteError(int reason, const std::string& path, uint64_t needed) {
  if (reason != ENOSPC && reason != EDQUOT) ThrowErrno(reason, "write", path);
  ThrowDiskFull(path, needed, FreeBytes(path).value_or(0));
}

void WriteFully(int fd, ByteSpan bytes, const std::string& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t put = write(fd, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) ThrowWriteError(errno, path, bytes.size() - done);
    done += static_cast<size_t>(put);
  }
}

void SyncFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) ThrowErrno(errno, "open", path);
  const int status = fsync(fd);
  const int reason = errno;
  close(fd);
  if (status != 0) ThrowWriteError(reason, path, 0);
}

void SyncDirectory(const std::string& directory) {
  int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) ThrowErrno(errno, "open", directory);
  int status = fsync(fd);
  int reason = errno;
  close(fd);
  if (status != 0) ThrowErrno(reason, "sync", directory);
}

DurableFileWriter::DurableFileWriter(const std::string& path)
    : path_(path), temporary_(path + ".partial") {
  // The rename would replace a device (/dev/null!) or pipe by a file of its name.
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot write: {}: expected a file or a free name, found a {}; choose "
                            "another name",
                            path, std::filesystem::is_directory(status) ? "folder" : "device"));
  }
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    int reason = errno;
    throw Error(ErrorKind::kIo, fmt::format("cannot create: {}: {}", path, std::strerror(reason)));
  }
}

DurableFileWriter::~DurableFileWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void DurableFileWriter::Append(ByteSpan bytes) {
  WriteFully(fd_, bytes, path_);
  size_ += bytes.size();
}

void DurableFileWriter::Commit() {
  MOESCOPE_CHECK(fd_ >= 0);
  if (fsync(fd_) != 0) ThrowWriteError(errno, path_, size_);
  int status = close(fd_);
  fd_ = -1;
  if (status != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    int reason = errno;
    unlink(temporary_.c_str());
    ThrowWriteError(reason, path_, size_);
  }
  SyncDirectory(ParentOf(path_));
}

void ReplaceFile(const std::string& path, ByteSpan content) {
  DurableFileWriter writer(path);
  writer.Append(content);
  writer.Commit();
}

}  // namespace moescope
