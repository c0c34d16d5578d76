#include "text/byte_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/gzip_stream.h"

namespace moescope::text {
namespace {

constexpr size_t kBlockBytes = 256 << 10;

// A descriptor opened for reading, or standard input; closes what it opened.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path == "-" ? "standard input" : path) {
    if (path == "-") return;
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) ThrowErrno(errno, "open", path_);
    struct stat status = {};
    const bool folder = fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode);
    if (!folder) return;
    close(fd_);
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read: {}: expected a file, found a folder", path_));
  }
  ~InputFile() {
    if (fd_ > 0) close(fd_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  size_t Read(char* out, size_t n) {
    while (true) {
      const ssize_t got = read(fd_, out, n);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) ThrowErrno(errno, "read", path_);
      n_read_ += static_cast<uint64_t>(got);
      return static_cast<size_t>(got);
    }
  }
  const std::string& path() const { return path_; }
  uint64_t n_read() const { return n_read_; }

 private:
  std::string path_;
  int fd_ = 0;
  uint64_t n_read_ = 0;
};

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(const std::string& path) : file_(path) {}
  size_t Read(std::span<char> out) override { return file_.Read(out.data(), out.size()); }
  uint64_t bytes_read() const override { return file_.n_read(); }

 private:
  InputFile file_;
};

struct FilterRow {
  Compression compression;
  int code;
  const char* name;
  int (*enable)(archive*);
};
constexpr FilterRow kFilters[] = {
    {Compression::kXz, ARCHIVE_FILTER_XZ, "xz", archive_read_support_filter_xz},
    {Compression::kZstd, ARCHIVE_FILTER_ZSTD, "zstd", archive_read_support_filter_zstd},
};

// libarchive with one filter allowed and the "raw" format: a single compressed file, never an
// archive of several.
class CompressedStream : public ByteStream {
 public:
  CompressedStream(const std::string& path, const FilterRow& filter)
      : file_(path), filter_(filter), block_(kBlockBytes), archive_(archive_read_new()) {
    if (archive_ == nullptr) {
      throw Error(ErrorKind::kResource, fmt::format("cannot open: {}: out of memory", path));
    }
    filter.enable(archive_.get());
    archive_read_support_format_raw(archive_.get());
    archive_read_support_format_empty(archive_.get());
    archive_entry* entry = nullptr;
    int status = archive_read_open(archive_.get(), this, nullptr, &ReadBlock, nullptr);
    if (status == ARCHIVE_OK) status = archive_read_next_header(archive_.get(), &entry);
    Rethrow();
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN && status != ARCHIVE_EOF) {
      Refuse("a compressed file", Reason());
    }
    if (archive_filter_code(archive_.get(), 0) != filter.code) {
      Refuse("a compressed file", file_.n_read() == 0 ? "an empty one" : "other content");
    }
    at_end_ = status == ARCHIVE_EOF;  // nothing inside
  }

  size_t Read(std::span<char> out) override {
    while (!at_end_) {
      const la_ssize_t got = archive_read_data(archive_.get(), out.data(), out.size());
      Rethrow();
      if (got == ARCHIVE_RETRY) continue;
      if (got == ARCHIVE_WARN || got < 0) Refuse("an undamaged file", Reason());
      at_end_ = got == 0;
      return static_cast<size_t>(got);
    }
    return 0;
  }
  uint64_t bytes_read() const override { return file_.n_read(); }

 private:
  struct Close {
    void operator()(archive* a) const { archive_read_free(a); }
  };

  // Exceptions must not pass through C: kept and thrown again outside.
  static la_ssize_t ReadBlock(archive* a, void* self, const void** block) {
    auto* stream = static_cast<CompressedStream*>(self);
    try {
      *block = stream->block_.data();
      return static_cast<la_ssize_t>(
          stream->file_.Read(stream->block_.data(), stream->block_.size()));
    } catch (...) {
      stream->failure_ = std::current_exception();
      archive_set_error(a, EIO, "read failed");
      return -1;
    }
  }
  void Rethrow() {
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }
  std::string Reason() const {
    const char* text = archive_error_string(archive_.get());
    return text == nullptr ? "damaged data" : text;
  }
  [[noreturn]] void Refuse(const char* expected, const std::string& found) const {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot decompress: {}@{}: expected {} ({}), found {}; fetch it again",
                            file_.path(), file_.n_read(), expected, filter_.name, found));
  }

  InputFile file_;
  const FilterRow& filter_;
  std::vector<char> block_;
  std::exception_ptr failure_;
  bool at_end_ = false;
  std::unique_ptr<archive, Close> archive_;
};

class MemoryStream : public ByteStream {
 public:
  explicit MemoryStream(std::string bytes) : bytes_(std::move(bytes)) {}
  size_t Read(std::span<char> out) override {
    const size_t n = std::min(out.size(), bytes_.size() - at_);
    std::memcpy(out.data(), bytes_.data() + at_, n);
    at_ += n;
    return n;
  }
  uint64_t bytes_read() const override { return at_; }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace

std::unique_ptr<ByteStream> OpenByteStream(const std::string& path, Compression compression) {
  if (compression == Compression::kGzip) {
    return MakeGzipStream(std::make_unique<PlainStream>(path), path);
  }
  for (const FilterRow& filter : kFilters) {
    if (filter.compression == compression) return std::make_unique<CompressedStream>(path, filter);
  }
  return std::make_unique<PlainStream>(path);
}

std::unique_ptr<ByteStream> MakeMemoryStream(std::string bytes) {
  return std::make_unique<MemoryStream>(std::move(bytes));
}

}  // namespace moescope::text
