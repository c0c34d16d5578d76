#include "base/platform/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "base/error.h"

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

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
};

// Mappings the SIGBUS handler can name. Slots are claimed under a mutex and read by the handler
// without one, so `begin` is published last.
struct MappingSlot {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<size_t> size{0};
  std::atomic<const char*> path{nullptr};
};
constexpr int kMaxNamedMappings = 4096;
MappingSlot g_mappings[kMaxNamedMappings];
std::mutex g_mappings_mutex;

void WriteToStderr(const char* text) {
  [[maybe_unused]] ssize_t ignored =
      write(STDERR_FILENO, text, std::char_traits<char>::length(text));
}

void OnBusError(int, siginfo_t* info, void*) {
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  WriteToStderr("error: a mapped file could not be read any more");
  for (const MappingSlot& slot : g_mappings) {
    const std::byte* begin = slot.begin.load(std::memory_order_acquire);
    if (begin != nullptr && at >= begin && at < begin + slot.size.load()) {
      WriteToStderr(": ");
      WriteToStderr(slot.path.load());
    }
  }
  WriteToStderr(
      ": was it truncated or replaced while in use? What was committed before stays valid.\n");
  _exit(ExitCode(ErrorKind::kIo));
}

void RegisterMapping(ByteSpan bytes, const std::string& path) {
  std::lock_guard lock(g_mappings_mutex);
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  static_cast<void>(installed);
  for (MappingSlot& slot : g_mappings) {
    if (slot.begin.load() != nullptr) continue;
    slot.path.store(path.c_str());
    slot.size.store(bytes.size());
    slot.begin.store(bytes.data(), std::memory_order_release);
    return;
  }
}

void ForgetMapping(ByteSpan bytes) {
  std::lock_guard lock(g_mappings_mutex);
  for (MappingSlot& slot : g_mappings) {
    if (slot.begin.load() == bytes.data()) slot.begin.store(nullptr);
  }
}

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
  RegisterMapping(bytes_, path_);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  ForgetMapping(bytes_);
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace moescope
