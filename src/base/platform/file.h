// Reading files: the seam that parsers read through, and memory mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/platform/lost_mapping.h"

namespace moescope {

// Which file it is and when it was last written, as the system tells now: equal as long as nobody
// writes to the file.
struct FileState {
  uint64_t device = 0, inode = 0, n_bytes = 0;
  int64_t written_ns = 0;  // time of the last modification
  bool operator==(const FileState&) const = default;
};

// A file that can be read anywhere. Implementations are thread-safe.
class RandomAccessFile {
 public:
  virtual ~RandomAccessFile() = default;
  virtual uint64_t size() const = 0;
  // The path, for messages.
  virtual const std::string& path() const = 0;
  // Fills `out` from `offset`. Throws Error(kCorrupt) past the end, Error(kIo) if reading fails.
  virtual void Read(uint64_t offset, std::span<std::byte> out) const = 0;
  // Throws Error(kIo).
  virtual FileState State() const = 0;
};

// Throws Error(kNotFound), Error(kIo); Error(kBadInput) for a directory.
std::shared_ptr<RandomAccessFile> OpenFile(const std::string& path);
// The same interface over bytes in memory, for tests and fuzz targets. Takes a copy.
std::shared_ptr<RandomAccessFile> MakeMemoryFile(const std::string& path, ByteSpan bytes);

// The whole file. Throws as OpenFile, and Error(kBadInput) if it has more than `limit_bytes`.
std::string ReadWholeFile(const std::string& path, uint64_t limit_bytes);

// A read-only mapping of a whole file, watched for lost pages (base/platform/lost_mapping.h).
class MappedFile {
 public:
  // Throws Error(kNotFound), Error(kIo). An empty file maps to an empty span.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  ByteSpan bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  ByteSpan bytes_;
  std::optional<LostMappingGuard> guard_;
};

}  // namespace moescope
