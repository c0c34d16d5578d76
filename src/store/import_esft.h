// ESFT's route files as a run, so that analyses see published routes of other engines.
#pragma once

#include <cstdint>
#include <string>

#include "store/esft_routes.h"

namespace moescope::store {

struct EsftImport {
  std::string path = {};     // a folder, or a tar file (.tar, .tar.gz, .tar.xz, .tar.zst)
  std::string dataset = {};  // name of the data set in the run; "": of the folder or file
  EsftShape shape = {};
  std::string engine_version = {};
  uint64_t memory_bytes = uint64_t{256} << 20;
};

struct EsftImportResult {
  int n_layers = 0;
  int64_t n_sequences = 0;
  int64_t n_tokens = 0;
};

// Writes the run `directory`: a document and sequence per line, layers numbered as the files are,
// weights as they stand; token ids, losses, margins and entropies null.
// Throws Error(kNotFound) without route files, kCorrupt for files that contradict the format or
// each other, kBadInput for more than 1 GB of text; as RunWriter.
EsftImportResult ImportEsft(const EsftImport& import, const std::string& directory);

}  // namespace moescope::store
