// `convert`: any checkpoint we read, as one GGUF file. Tensors stream through one buffer, so a
// model larger than memory converts in a few megabytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor/dtype.h"
#include "files/checkpoint.h"

namespace moescope::lab {

struct ConvertSummary {
  uint64_t n_tensors = 0;  // in the file written; experts are merged
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  double seconds = 0;
  // Tensors that kept another type than the one asked for, with the reason, for people.
  std::vector<std::string> kept;
};

// Writes `output` in the layout of llama.cpp: experts merged, rows of query and key in pairs for
// the interleaved rotary embedding, vocabulary inside. Router and norms are always float32; a
// matrix whose rows are not whole blocks of `dtype` keeps the type it has. Where the stored type is
// the one asked for, bytes are copied. The same checkpoint gives the same bytes, wherever it lies.
// Throws Error(kUnsupported) without weights; kCorrupt for the first value that is not finite,
// kBadInput for one that float16 cannot hold, naming the tensor; kIo (disk full: nothing is left
// behind); kCancelled.
ConvertSummary ConvertToGguf(const files::Checkpoint& checkpoint, const std::string& output,
                             DType dtype);

// "q8_0", "F16", ... Throws Error(kBadInput) with the list of types that can be written.
DType ParseWritableType(const std::string& name);

}  // namespace moescope::lab
