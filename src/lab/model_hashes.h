// Hashes of every byte of a model, kept to tell later which tensor has changed: a flipped bit runs
// without complaint and only changes the answers. What is hashed, and where hashes are kept:
// docs/formats.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "files/checkpoint.h"

namespace moescope::lab {

// A tensor, one expert's or one matrix' slice of a merged one, or (is_rest) what a file holds
// besides: header, padding, tensors that are not used.
struct HashedPart {
  int file = 0;      // index into ModelHashes::files
  std::string name;  // as in the file; a slice also says which: "w (expert 3)"
  bool is_rest = false;
  uint64_t offset = 0;  // 0 for the rest
  uint64_t n_bytes = 0;
  uint64_t xxh3 = 0;
};

// `modified` is nanoseconds since 1970, 0 where unknown: for people, never compared.
struct HashedFile {
  std::string name;  // inside the model's folder
  uint64_t n_bytes = 0;
  int64_t modified = 0;
};

struct ModelHashes {
  std::string model;  // AbsoluteModelPath of the checkpoint
  std::vector<HashedFile> files;
  std::vector<HashedPart> parts;

  uint64_t n_tensors() const;
  uint64_t n_bytes() const;
};

// Reads every file of the checkpoint once, in order, a few MiB at a time, and the small files
// beside safetensors that say what the weights mean. `progress` receives the bytes done so far.
// Throws Error(kBadInput) without weights, kIo and kCorrupt as RandomAccessFile::Read, kCancelled.
ModelHashes HashModel(const files::Checkpoint& checkpoint, FunctionRef<void(uint64_t)> progress);
// How a model is called in a record: absolute, links resolved, valid UTF-8.
std::string AbsoluteModelPath(const std::string& path);
// The bytes HashModel will read.
uint64_t BytesToHash(const files::Checkpoint& checkpoint);

// The text of a file of hashes. It ends with a hash of itself, so that damage to it is not taken
// for damage to the model.
std::string FormatModelHashes(const ModelHashes& hashes);
// Throws Error(kCorrupt) naming `path` for anything FormatModelHashes cannot have written, and
// kUnsupported for another version of the format.
ModelHashes ParseModelHashes(std::string_view text, const std::string& path);
// `head` with the hash that ParseModelHashes expects at the end; for tests and fuzz targets too.
std::string SealModelHashes(const std::string& head);

// Where hashes of a model lie inside `folder`: the name is made from AbsoluteModelPath alone.
std::string ModelHashesPath(const std::string& folder, const std::string& model);
// Throws as ParseModelHashes; Error(kBadInput) if the file is larger than any that is written, and
// Error(kCorrupt) if it is of another model.
ModelHashes ReadModelHashes(const std::string& path, const std::string& model);
// Makes the folder if there is none. Throws Error(kIo).
void WriteModelHashes(const std::string& path, const ModelHashes& hashes);

struct HashProblem {
  std::string file;
  std::string part;       // the tensor; empty when the file as a whole differs
  std::string what;       // "expected hash X, found Y", "not there any more", ...
  bool modified = false;  // the file's date differs from the recorded one
};
// Empty when all is as recorded. In the order of the record, what is new at the end.
std::vector<HashProblem> CompareModelHashes(const ModelHashes& recorded, const ModelHashes& found);

}  // namespace moescope::lab
