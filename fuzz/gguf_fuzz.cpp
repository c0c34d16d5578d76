// A GGUF file of any bytes as a checkpoint: refused with an Error, or its tensors lie in the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "files/gguf_checkpoint.h"
#include "interesting_numbers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    files::Checkpoint checkpoint = files::OpenGgufCheckpoint(
        *files::MakeMemoryFolder("fuzz", {{"fuzz.gguf", bytes}}), "fuzz.gguf");
    for (const auto& [id, location] : checkpoint.tensors()) {
      if (location.offset > size || location.n_bytes > size - location.offset) std::abort();
    }
    checkpoint.Identity();
    if (checkpoint.vocabulary() != nullptr) checkpoint.vocabulary()->Identity();
  } catch (const Error&) {
  }
  return 0;
}
