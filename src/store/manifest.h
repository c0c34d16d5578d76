// manifest.json: what a run is and which files it has committed, with their hashes and its own.
// Format: docs/trace-format.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/run_description.h"

namespace moescope::store {

struct FileEntry {
  std::string path;  // inside the run: "tokens/part-00000.parquet"
  int64_t rows = 0;
  uint64_t bytes = 0;
  std::string xxh3;  // 16 hex digits
};

// Whole documents, consecutive tokens. Files: documents, tokens, then one a layer with routes.
struct PartEntry {
  int64_t first_token = 0;
  int64_t n_tokens = 0;
  int64_t first_document = 0;
  int64_t n_documents = 0;
  std::vector<FileEntry> files;
};

struct Manifest {
  RunDescription description;
  bool complete = false;
  FileEntry vocabulary;
  std::vector<PartEntry> parts;

  int64_t n_tokens() const;
  int64_t n_documents() const;
};

inline constexpr const char* kManifestName = "manifest.json";

// Paths of one part, relative to the run.
std::string DocumentsPath(int64_t part);
std::string TokensPath(int64_t part);
std::string RoutesPath(int layer, int64_t part);
inline constexpr const char* kVocabularyPath = "vocabulary.parquet";

std::string FormatManifest(const Manifest& manifest);
// What the file ends with: 16 hex digits, which the hashes of all files of the run go into.
std::string ManifestHash(const Manifest& manifest);
// Throws Error(kCorrupt) for anything FormatManifest cannot have written, its own hash included,
// and kUnsupported for another schema version. `path` is for messages.
Manifest ParseManifest(std::string_view text, const std::string& path);
// Throws as ParseManifest, and kNotFound when `directory` has none.
Manifest ReadManifest(const std::string& directory);

}  // namespace moescope::store
