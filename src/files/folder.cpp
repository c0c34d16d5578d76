#include "files/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"

namespace moescope::files {
namespace {

class DiskFolder : public Folder {
 public:
  explicit DiskFolder(const std::string& path) : path_(path) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
         at.increment(error)) {
      std::error_code ignored;  // a file that vanished or cannot be looked at is not listed
      if (at->is_regular_file(ignored)) names_.push_back(at->path().filename().string());
    }
    if (error) ThrowErrno(error.value(), "list", path);
    std::sort(names_.begin(), names_.end());
  }
  const std::string& path() const override { return path_; }
  const std::vector<std::string>& names() const override { return names_; }
  std::shared_ptr<const RandomAccessFile> Open(const std::string& name) const override {
    return OpenFile(PathOf(name));
  }

 private:
  std::string path_;
  std::vector<std::string> names_;
};

class MemoryFolder : public Folder {
 public:
  MemoryFolder(const std::string& path, const std::map<std::string, std::string>& contents)
      : path_(path) {
    for (const auto& [name, content] : contents) {
      names_.push_back(name);
      files_[name] = MakeMemoryFile(PathOf(name), AsBytes(content));
    }
  }
  const std::string& path() const override { return path_; }
  const std::vector<std::string>& names() const override { return names_; }
  std::shared_ptr<const RandomAccessFile> Open(const std::string& name) const override {
    auto at = files_.find(name);
    if (at == files_.end()) {
      throw Error(ErrorKind::kNotFound, fmt::format("cannot open: {}: no such file", PathOf(name)));
    }
    return at->second;
  }

 private:
  std::string path_;
  std::vector<std::string> names_;
  std::map<std::string, std::shared_ptr<const RandomAccessFile>> files_;
};

}  // namespace

bool Folder::Has(const std::string& name) const {
  return std::binary_search(names().begin(), names().end(), name);
}

std::string Folder::PathOf(const std::string& name) const {
  // Files of the working directory keep the name they were given.
  return path() == "." ? name : (std::filesystem::path(path()) / name).string();
}

std::string Folder::ReadText(const std::string& name, uint64_t limit_bytes) const {
  std::shared_ptr<const RandomAccessFile> file = Open(name);
  if (file->size() > limit_bytes) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot read: {}: expected at most {} bytes, found {}", file->path(),
                            limit_bytes, file->size()));
  }
  std::string text(file->size(), '\0');
  file->Read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::unique_ptr<Folder> OpenFolder(const std::string& path) {
  return std::make_unique<DiskFolder>(path);
}

std::unique_ptr<Folder> MakeMemoryFolder(const std::string& path,
                                         const std::map<std::string, std::string>& contents) {
  return std::make_unique<MemoryFolder>(path, contents);
}

}  // namespace moescope::files
