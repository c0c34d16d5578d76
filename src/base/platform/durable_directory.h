// A folder of files that belong together: it appears under its name complete, or not at all.
#pragma once

#include <string>

namespace moescope {

// Files are written into PATH.partial beside it; Commit() renames that to `path`, the destructor of
// an uncommitted one removes it with all it holds. Not thread-safe.
class DurableDirectory {
 public:
  // `path` must be a free name or an empty folder, and PATH.partial a free name.
  // Throws Error(kBadInput) where they are not, Error(kIo).
  explicit DurableDirectory(const std::string& path);
  ~DurableDirectory();
  DurableDirectory(const DurableDirectory&) = delete;
  DurableDirectory& operator=(const DurableDirectory&) = delete;

  // Where a file of the folder is to be written.
  std::string PathOf(const std::string& name) const;
  // Requires: every file in it is complete and on the disk. Throws Error(kIo).
  void Commit();

 private:
  std::string path_;
  std::string temporary_;
  bool committed_ = false;
};

}  // namespace moescope
