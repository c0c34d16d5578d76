// The files beside a checkpoint: the seam that lets tests and fuzz targets hand over a whole model
// in memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/platform/file.h"

namespace moescope::files {

// Plain files of one directory, by name. Immutable and thread-safe.
class Folder {
 public:
  virtual ~Folder() = default;
  virtual const std::string& path() const = 0;
  // Names of the files, sorted; directories are left out.
  virtual const std::vector<std::string>& names() const = 0;
  // Throws Error(kNotFound), Error(kIo).
  virtual std::shared_ptr<const RandomAccessFile> Open(const std::string& name) const = 0;

  bool Has(const std::string& name) const;
  // Path of a file of this folder, for messages.
  std::string PathOf(const std::string& name) const;
  // The whole file. Throws as Open, Error(kBadInput) if it has more than `limit_bytes`.
  std::string ReadText(const std::string& name, uint64_t limit_bytes) const;
};

// Throws Error(kNotFound), Error(kIo).
std::unique_ptr<Folder> OpenFolder(const std::string& path);
std::unique_ptr<Folder> MakeMemoryFolder(const std::string& path,
                                         const std::map<std::string, std::string>& contents);

}  // namespace moescope::files
