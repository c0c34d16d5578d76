#include "base/platform/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/platform/file_state.h"

namespace moescope {
namespace {

// An open descriptor and its size; closes itself.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) ThrowErrno(errno, "open", path);
    struct stat status = {};
    if (fstat(fd_, &status) != 0) {
      int reason = errno;
      close(fd_);
      ThrowErrno(reason, "inspect", path);
    }
    if (!S_ISREG(status.st_mode)) {
      close(fd_);
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot read: {}: expected a regular file", path));
    }
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }
  uint64_t size() const { return size_; }

 private:
  int fd_;
  uint64_t size_ = 0;
};

[[noreturn]] void ThrowPastEnd(const std::string& path, uint64_t offset, size_t wanted,
                               uint64_t size) {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read: {}@{}: expected {} bytes, the file ends at {}", path,
                          offset, wanted, size));
}

class PosixFile : public RandomAccessFile {
 public:
  explicit PosixFile(const std::string& path) : path_(path), file_(path) {}
  uint64_t size() const override { return file_.size(); }
  const std::string& path() const override { return path_; }
  void Read(uint64_t offset, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      ssize_t got = pread(file_.fd(), out.data() + done, out.size() - done,
                          static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) ThrowErrno(errno, "read", path_);
      if (got == 0) ThrowPastEnd(path_, offset, out.size(), offset + done);
      done += static_cast<size_t>(got);
    }
  }
  FileState State() const override { return StateOf(file_.fd(), path_); }

 private:
  std::string path_;
  Descriptor file_;
};

class MemoryFile : public RandomAccessFile {
 public:
  MemoryFile(const std::string& path, ByteSpan bytes)
      : path_(path), bytes_(bytes.begin(), bytes.end()) {}
  uint64_t size() const override { return bytes_.size(); }
  const std::string& path() const override { return path_; }
  void Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      ThrowPastEnd(path_, offset, out.size(), bytes_.size());
    }
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  }
  FileState State() const override { return {.n_bytes = bytes_.size()}; }

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::shared_ptr<RandomAccessFile> OpenFile(const std::string& path) {
  return std::make_shared<PosixFile>(path);
}

std::shared_ptr<RandomAccessFile> MakeMemoryFile(const std::string& path, ByteSpan bytes) {
  return std::make_shared<MemoryFile>(path, bytes);
}

std::string ReadWholeFile(const std::string& path, uint64_t limit_bytes) {
  PosixFile file(path);
  if (file.size() > limit_bytes) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read: {}: expected at most {} bytes, found {}", path,
                            limit_bytes, file.size()));
  }
  std::string text(file.size(), '\0');
  file.Read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  Descriptor file(path);
  if (file.size() == 0) return;
  void* address = mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.fd(), 0);
  if (address == MAP_FAILED) ThrowErrno(errno, "map", path);
  bytes_ = {static_cast<const std::byte*>(address), file.size()};
  guard_.emplace(bytes_, path_);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  guard_.reset();
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace moescope
