#include "base/platform/direct_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/error.h"
#include "base/platform/file_state.h"

namespace moescope {
namespace {

class PosixDirectFile : public DirectFile {
 public:
  explicit PosixDirectFile(const std::string& path)
      : path_(path),
        buffered_(open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        // Some file systems refuse here, some at the first read.
        direct_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT)) {
    if (buffered_ < 0) {
      const int reason = errno;
      if (direct_ >= 0) close(direct_);
      ThrowErrno(reason, "open", path);
    }
    // Another file may have taken the name between the two.
    reads_directly_ = direct_ >= 0 && StateOf(direct_, path) == StateOf(buffered_, path);
  }
  ~PosixDirectFile() override {
    close(buffered_);
    if (direct_ >= 0) close(direct_);
  }
  PosixDirectFile(const PosixDirectFile&) = delete;
  PosixDirectFile& operator=(const PosixDirectFile&) = delete;

  const std::string& path() const override { return path_; }

  size_t ReadSome(uint64_t offset, std::span<std::byte> out) const override {
    for (;;) {
      const bool direct = reads_directly_.load(std::memory_order_relaxed);
      const ssize_t got =
          pread(direct ? direct_ : buffered_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got >= 0) return static_cast<size_t>(got);
      if (errno == EINTR) continue;
      if (!direct || errno != EINVAL) ThrowErrno(errno, "read", path_);
      reads_directly_.store(false, std::memory_order_relaxed);
    }
  }

  FileState State() const override { return StateOf(buffered_, path_); }

 private:
  std::string path_;
  int buffered_, direct_;
  mutable std::atomic<bool> reads_directly_{false};
};

}  // namespace

std::unique_ptr<DirectFile> OpenDirectFile(const std::string& path) {
  return std::make_unique<PosixDirectFile>(path);
}

void ReadDirect(const DirectFile& file, const FileState& expected, uint64_t begin, uint64_t end,
                std::span<std::byte> out) {
  uint64_t done = 0;
  const uint64_t needed = end - begin;
  bool ended = false;
  while (done < needed && !ended) {
    const size_t got = file.ReadSome(begin + done, out.subspan(done));
    // What a short read left over starts in the middle of a block: read that block again.
    const uint64_t whole = got / kDirectAlignment * kDirectAlignment;
    ended = done + got < needed && whole == 0;
    done += done + got >= needed ? got : whole;
  }
  // Afterwards: what was read before the change is as wrong as what was read after it.
  const FileState now = file.State();
  if (now == expected && !ended) return;
  throw Error(
      ErrorKind::kCorrupt,
      now == expected
          ? fmt::format("cannot read: {}@{}: expected {} bytes, found {}; its disk may have failed",
                        file.path(), begin, needed, done)
          : fmt::format("cannot read: {}@{}: expected the file of {} bytes that was opened, found "
                        "it written to since, now {} bytes; restore the file and run the same "
                        "command again",
                        file.path(), begin, expected.n_bytes, now.n_bytes));
}

}  // namespace moescope
