// moescope verify PATH: re-hashes every file of a run, or every tensor of a model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/units.h"
#include "base/valid_utf8.h"
#include "lab/model_hashes.h"
#include "store/manifest.h"
#include "store/run.h"

namespace moescope::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct VerifyOptions {
  std::string path;
  std::string cache;
  bool record = false;
  bool json = false;
};

void VerifyRun(const VerifyOptions& options) {
  store::VerifyResult result = store::VerifyRun(options.path);
  if (options.json) {
    ordered_json rows = ordered_json::array();
    for (const std::string& problem : result.problems) {
      rows.push_back({{"problem", ValidUtf8(problem)}});
    }
    ordered_json report = {{"rows", rows},
                           {"n_files", result.n_files},
                           {"n_bytes", result.n_bytes},
                           {"complete", result.complete},
                           {"ok", result.problems.empty()}};
    fmt::print("{}\n", report.dump());
  } else {
    for (const std::string& problem : result.problems) fmt::print("{}\n", problem);
    if (result.problems.empty()) {
      fmt::print("{} files, {}: as written{}\n", result.n_files, FormatBytes(result.n_bytes),
                 result.complete ? "" : "; the run is unfinished");
    }
  }
  if (result.problems.empty()) return;
  throw Error(
      ErrorKind::kCorrupt,
      fmt::format("cannot trust run: {}: expected files as written, found {} problem{}; "
                  "trace it again, or restore the named files from a copy",
                  options.path, result.problems.size(), result.problems.size() == 1 ? "" : "s"));
}

// Where programs keep what can be made again. Source: XDG Base Directory Specification.
std::string DefaultCache() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return (fs::path(xdg) / "moescope/models").string();
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/')
    return (fs::path(home) / ".cache/moescope/models").string();
  throw Error(ErrorKind::kBadInput,
              "cannot keep hashes: neither XDG_CACHE_HOME nor HOME names a folder; give one with "
              "--cache");
}

lab::ModelHashes HashWithProgress(const std::string& path) {
  const files::Checkpoint checkpoint = files::Checkpoint::Open(path);
  ProgressBar bar("hashing", lab::BytesToHash(checkpoint), "bytes");
  return lab::HashModel(checkpoint, [&](uint64_t done) { bar.Update(done); });
}

void Record(const VerifyOptions& options, const std::string& cache,
            const lab::ModelHashes& hashes) {
  lab::WriteModelHashes(cache, hashes);
  if (options.json) {
    ordered_json report = {{"rows", ordered_json::array()},
                           {"n_tensors", hashes.n_tensors()},
                           {"n_bytes", hashes.n_bytes()},
                           {"hashes", cache},
                           {"recorded", true},
                           {"ok", true}};
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("{} tensors, {}: hashes recorded in {}; run it again to compare\n",
             FormatCount(hashes.n_tensors()), FormatBytes(hashes.n_bytes()), cache);
}

std::string Line(const lab::HashProblem& problem) {
  return fmt::format("{}: {}: {}{}", problem.file, problem.part, problem.what,
                     problem.modified ? "; the file's date is another, too" : "");
}

void PrintComparison(const VerifyOptions& options, const std::string& cache,
                     const lab::ModelHashes& found, const std::vector<lab::HashProblem>& problems) {
  if (options.json) {
    ordered_json rows = ordered_json::array();
    for (const lab::HashProblem& problem : problems) {
      rows.push_back({{"file", problem.file},
                      {"part", problem.part},
                      {"problem", problem.what},
                      {"file_modified", problem.modified}});
    }
    ordered_json report = {{"rows", rows},
                           {"n_tensors", found.n_tensors()},
                           {"n_bytes", found.n_bytes()},
                           {"hashes", cache},
                           {"recorded", false},
                           {"ok", problems.empty()}};
    fmt::print("{}\n", report.dump());
    return;
  }
  // Of a model that was replaced every line would say the same.
  constexpr size_t kMaxLines = 20;
  for (size_t i = 0; i < std::min(problems.size(), kMaxLines); ++i) {
    fmt::print("{}\n", Line(problems[i]));
  }
  if (problems.size() > kMaxLines) {
    fmt::print("and {} more; --json lists all\n", problems.size() - kMaxLines);
  }
  if (problems.empty()) {
    fmt::print("{} tensors, {}: as recorded\n", FormatCount(found.n_tensors()),
               FormatBytes(found.n_bytes()));
  }
}

void VerifyModel(const VerifyOptions& options) {
  const std::string folder = options.cache.empty() ? DefaultCache() : options.cache;
  const std::string cache = lab::ModelHashesPath(folder, options.path);
  std::error_code ignored;
  if (options.record || !fs::exists(cache, ignored)) {
    return Record(options, cache, HashWithProgress(options.path));
  }
  const lab::ModelHashes recorded = lab::ReadModelHashes(cache, options.path);
  const lab::ModelHashes found = HashWithProgress(options.path);
  const std::vector<lab::HashProblem> problems = CompareModelHashes(recorded, found);
  PrintComparison(options, cache, found, problems);
  if (problems.empty()) return;
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot trust model: {}: expected {} tensors as recorded, found {} "
                          "change{}; fetch the model again, or --record it if the change was meant",
                          options.path, recorded.n_tensors(), problems.size(),
                          problems.size() == 1 ? "" : "s"));
}

// A run has a manifest. What is neither gets the answer a run gets, but for a file: a run is none.
bool LooksLikeModel(const std::string& path) {
  std::error_code ignored;
  const fs::path given(path);
  if (fs::is_regular_file(given, ignored)) return true;
  if (!fs::is_directory(given, ignored) || fs::exists(given / store::kManifestName, ignored)) {
    return false;
  }
  if (fs::exists(given / "refs" / "main", ignored)) return true;  // of the Hugging Face cache
  for (const auto& entry : fs::directory_iterator(given, ignored)) {
    const fs::path name = entry.path().filename();
    if (name == "config.json" || name == "params.json" || name.extension() == ".gguf" ||
        name.extension() == ".safetensors") {
      return true;
    }
  }
  return false;
}

void Verify(const VerifyOptions& options) {
  if (LooksLikeModel(options.path)) return VerifyModel(options);
  if (options.record || !options.cache.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--record and --cache are for models: {}: expected a checkpoint, found "
                            "none; a run carries its own hashes",
                            options.path));
  }
  VerifyRun(options);
}

}  // namespace

std::function<void()> AddVerify(CLI::App& app) {
  auto options = std::make_shared<VerifyOptions>();
  app.add_option("path", options->path, "Run directory, or a model: its tensors are hashed")
      ->required();
  app.add_flag("--record", options->record,
               "Model: keep its hashes as they are now, whatever was recorded before");
  app.add_option("--cache", options->cache,
                 "Model: folder of recorded hashes (default: $XDG_CACHE_HOME/moescope/models, or "
                 "~/.cache/moescope/models)");
  app.add_flag("--json", options->json, "Print {\"rows\": [{\"problem\": ...}], \"ok\": ...}");
  return [options] { Verify(*options); };
}

}  // namespace moescope::cli
