#include "files/hub_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/platform/file.h"

namespace moescope::files {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNameBytes = 96;  // of an owner or a repository, as on the hub

struct HubName {
  std::string owner, repo, revision;
};

// Letters, digits, '-', '_' and '.', neither first nor last a '.' or '-': no way out of a folder.
bool IsPlainName(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  const auto is_edge = [](char c) { return c == '.' || c == '-'; };
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), is_plain) && !is_edge(name.front()) &&
         !is_edge(name.back()) && name.find("..") == std::string_view::npos &&
         name.find("--") == std::string_view::npos;
}

// Branches may have slashes: "refs/pr/1".
bool IsPlainRevision(std::string_view revision) {
  while (true) {
    const size_t slash = std::min(revision.find('/'), revision.size());
    if (!IsPlainName(revision.substr(0, slash))) return false;
    if (slash == revision.size()) return true;
    revision.remove_prefix(slash + 1);
  }
}

std::optional<HubName> ParseHubName(std::string_view name) {
  // A file that is not there is no repository.
  for (const std::string_view ending : {".gguf", ".safetensors", ".json", ".bin", ".pth"}) {
    if (name.ends_with(ending)) return std::nullopt;
  }
  const size_t at = std::min(name.find('@'), name.size());
  const std::string_view repository = name.substr(0, at);
  const size_t slash = repository.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  HubName result{std::string(repository.substr(0, slash)),
                 std::string(repository.substr(slash + 1)),
                 at == name.size() ? "main" : std::string(name.substr(at + 1))};
  const bool plain =
      IsPlainName(result.owner) && IsPlainName(result.repo) && IsPlainRevision(result.revision);
  return plain ? std::optional(result) : std::nullopt;
}

// The snapshot that a revision of a cache entry names: through refs, or by its commit itself.
std::optional<std::string> FindSnapshot(const fs::path& entry, const std::string& revision) {
  std::error_code ignored;
  std::string commit = revision;
  const fs::path reference = entry / "refs" / revision;
  if (fs::is_regular_file(reference, ignored)) {
    constexpr uint64_t kMaxReferenceBytes = 256;
    commit = ReadWholeFile(reference.string(), kMaxReferenceBytes);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  }
  if (!IsPlainName(commit)) return std::nullopt;
  const fs::path snapshot = entry / "snapshots" / commit;
  return fs::is_directory(snapshot, ignored) ? std::optional(snapshot.string()) : std::nullopt;
}

std::string DownloadCommand(const HubName& name) {
  const std::string repository = fmt::format("hf download {}/{}", name.owner, name.repo);
  return name.revision == "main" ? repository : repository + " --revision " + name.revision;
}

[[noreturn]] void RefuseMissing(const HubName& name, const std::string& place, bool has_entry) {
  throw Error(ErrorKind::kNotFound,
              fmt::format("cannot find model {}/{}: no such file or folder, and {}: expected {}, "
                          "found none; nothing is downloaded here: run `{}`",
                          name.owner, name.repo, place,
                          has_entry ? fmt::format("a snapshot of revision '{}'", name.revision)
                                    : "an entry of the Hugging Face cache",
                          DownloadCommand(name)));
}

}  // namespace

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

std::string HubCacheFolder(const Environment& environment) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto folder = environment(name)) return *folder;
  }
  if (const auto home = environment("HF_HOME")) return (fs::path(*home) / "hub").string();
  if (const auto cache = environment("XDG_CACHE_HOME")) {
    return (fs::path(*cache) / "huggingface" / "hub").string();
  }
  const auto home = environment("HOME");
  return home ? (fs::path(*home) / ".cache" / "huggingface" / "hub").string() : "";
}

std::string ResolveModelPath(const std::string& name, const Environment& environment) {
  std::error_code ignored;
  if (fs::exists(name, ignored)) {
    const fs::path references = fs::path(name) / "refs" / "main";
    if (!fs::is_regular_file(references, ignored)) return name;
    return FindSnapshot(name, "main").value_or(name);
  }
  const std::optional<HubName> hub = ParseHubName(name);
  if (!hub) return name;
  const std::string cache = HubCacheFolder(environment);
  if (cache.empty()) return name;
  const fs::path entry = fs::path(cache) / fmt::format("models--{}--{}", hub->owner, hub->repo);
  const bool has_entry = fs::is_directory(entry, ignored);
  const auto snapshot = has_entry ? FindSnapshot(entry, hub->revision) : std::nullopt;
  if (!snapshot) RefuseMissing(*hub, entry.string(), has_entry);
  return *snapshot;
}

}  // namespace moescope::files
