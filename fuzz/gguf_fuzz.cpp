// A GGUF file of any bytes as a checkpoint: refused with an Error, or its tensors lie in the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "files/gguf_checkpoint.h"
#include "interesting_numbers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    files::Checkpoint checkpoint = files::OpenGgufCheckpoint(
        MakeMemoryFile("fuzz.gguf", {reinterpret_cast<const std::byte*>(data), size}));
    for (const auto& [id, location] : checkpoint.tensors()) {
      if (location.offset > size || location.n_bytes > size - location.offset) std::abort();
    }
    checkpoint.Identity();
    if (checkpoint.vocabulary() != nullptr) checkpoint.vocabulary()->Identity();
  } catch (const Error&) {
  }
  return 0;
}
