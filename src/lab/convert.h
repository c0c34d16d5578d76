// `convert`: any checkpoint we read, as one GGUF file or as a folder in Hugging Face's layout.
// Tensors stream through one buffer, so a model larger than memory converts in a few megabytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor/dtype.h"
#include "files/checkpoint.h"

namespace moescope::lab {

struct ConvertSummary {
  DType dtype = DType::kF32;  // of most weights
  uint64_t n_tensors = 0;     // written; of merged or fused ones, the result
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  double seconds = 0;
  std::vector<std::string> files = {};  // names, in the order written
  // Tensors that kept another type than the one asked for, with the reason, for people.
  std::vector<std::string> kept = {};
  // Why the output has no tokenizer; empty where it has one.
  std::string tokenizer_note = {};
};

// Writes `output` in the layout of llama.cpp: experts merged, rows of query and key in the order of
// its rotary embedding, vocabulary inside. Router, vectors and learned positions are always
// float32; a matrix whose rows are not whole blocks of `dtype` keeps the type it has. Where the
// stored type is the one asked for, bytes are copied. The same checkpoint gives the same bytes,
// wherever it lies.
// Throws Error(kUnsupported) without weights or for what GGUF cannot say; kCorrupt for the first
// value that is not finite, kBadInput for one that the type cannot hold, naming the tensor; kIo
// (disk full: nothing is left behind); kCancelled.
ConvertSummary ConvertToGguf(const files::Checkpoint& checkpoint, const std::string& output,
                             DType dtype);

struct SafetensorsOptions {
  // F32, F16 or BF16 for every tensor. Without: the stored type; BF16 for quantised matrices; the
  // vectors that GGUF widened to float32 get the matrices' type back where that is exact.
  std::optional<DType> dtype = {};
  // Of tensors in one file; more go into shards with an index.
  uint64_t max_file_bytes = 5'000'000'000;
};

// Writes the folder `output`: weights under the family's classic names, config.json, and the
// tokenizer's files. It appears when it is complete; it must be a free name or an empty folder.
// Throws as ConvertToGguf; kBadInput for a type that safetensors does not hold and for an `output`
// that is in use; kUnsupported for what the family's config.json cannot say.
ConvertSummary ConvertToSafetensors(const files::Checkpoint& checkpoint, const std::string& output,
                                    const SafetensorsOptions& options);

}  // namespace moescope::lab
