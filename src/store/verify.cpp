// VerifyRun: every byte of a run against its manifest.
#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "store/manifest.h"
#include "store/part_cutter.h"
#include "store/run.h"
#include "store/run_lock.h"
#include "store/run_log.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

void VerifyFile(const std::string& directory, const FileEntry& file, VerifyResult& result) {
  std::string path = (fs::path(directory) / file.path).string();
  try {
    FileHash found = HashFile(path);
    ++result.n_files;
    result.n_bytes += found.bytes;
    if (found.bytes != file.bytes) {
      result.problems.push_back(
          fmt::format("{}: expected {} bytes, found {}", file.path, file.bytes, found.bytes));
    } else if (found.xxh3 != file.xxh3) {
      result.problems.push_back(
          fmt::format("{}: expected hash {}, found {}", file.path, file.xxh3, found.xxh3));
    }
  } catch (const Error& error) {
    result.problems.push_back(error.kind() == ErrorKind::kNotFound
                                  ? fmt::format("{}: missing", file.path)
                                  : fmt::format("{}: {}", file.path, error.what()));
  }
}

// Files of the directory that no manifest names. What an unfinished run is still working on is
// expected there.
void FindUnexpected(const std::string& directory, const std::set<std::string>& named, bool complete,
                    VerifyResult& result) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory()) continue;
    std::string path = fs::relative(entry.path(), directory).string();
    bool expected = named.contains(path) || path == kManifestName || path == kRunLogName ||
                    (!complete && (path == kLockName || path.starts_with("journal/") ||
                                   path.ends_with(".partial") || path.ends_with(".parquet")));
    if (!expected) result.problems.push_back(fmt::format("{}: unexpected file", path));
  }
}

}  // namespace

VerifyResult VerifyRun(const std::string& directory) {
  VerifyResult result;
  Manifest manifest;
  try {
    manifest = ReadManifest(directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorrupt) throw;
    result.problems.push_back(error.what());
    return result;
  }
  ++result.n_files;
  result.complete = manifest.complete;
  result.n_bytes += fs::file_size(fs::path(directory) / kManifestName);
  std::set<std::string> named;
  auto verify = [&](const FileEntry& file) {
    named.insert(file.path);
    VerifyFile(directory, file, result);
  };
  verify(manifest.vocabulary);
  for (const PartEntry& part : manifest.parts) {
    for (const FileEntry& file : part.files) verify(file);
  }
  FindUnexpected(directory, named, manifest.complete, result);
  return result;
}

}  // namespace moescope::store
