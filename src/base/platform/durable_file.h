// Writing files so that a crash leaves the old content or the new, never half of it.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace moescope {

// Writes a temporary name in the same directory, fsyncs, renames over `path`, fsyncs the directory.
// Throws Error(kIo) naming the path, the bytes needed and, when the disk is full, the bytes free;
// the old file is then untouched. So it does when `path` is a folder, device or pipe.
void ReplaceFile(const std::string& path, ByteSpan content);

// A file being written under a temporary name; Commit() makes it appear, the destructor of an
// uncommitted one removes it. Not thread-safe.
class DurableFileWriter {
 public:
  explicit DurableFileWriter(const std::string& path);
  ~DurableFileWriter();
  DurableFileWriter(const DurableFileWriter&) = delete;
  DurableFileWriter& operator=(const DurableFileWriter&) = delete;

  // Throws Error(kIo) as ReplaceFile.
  void Append(ByteSpan bytes);
  uint64_t size() const { return size_; }
  void Commit();

 private:
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Throws Error(kIo) as ReplaceFile when the disk of `path` has less than `needed` bytes free. A
// file system that cannot say is taken to have them.
void RequireFreeSpace(const std::string& path, uint64_t needed);
// Throws Error(kIo) for a failed write of `needed` bytes as ReplaceFile does.
[[noreturn]] void ThrowWriteError(int errno_value, const std::string& path, uint64_t needed);
// Appends to a descriptor until all is written. Throws Error(kIo) as ReplaceFile.
void WriteFully(int fd, ByteSpan bytes, const std::string& path);
// Makes what another library wrote into a file survive a power cut. Throws Error(kIo).
void SyncFile(const std::string& path);
// Makes a rename, creation or removal inside `directory` survive a power cut. Throws Error(kIo).
void SyncDirectory(const std::string& directory);

}  // namespace moescope
