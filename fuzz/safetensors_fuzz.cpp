// One safetensors file of any bytes: refused with an Error, or every tensor it lists can be read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "files/safetensors.h"
#include "interesting_numbers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    files::SafetensorsFile file(
        MakeMemoryFile("fuzz.safetensors", {reinterpret_cast<const std::byte*>(data), size}));
    for (const files::SafetensorsTensor& tensor : file.tensors()) {
      if (file.Find(tensor.name) != &tensor) std::abort();
      if (tensor.offset > size || tensor.n_bytes > size - tensor.offset) std::abort();
      if (tensor.dtype == "F32" || tensor.dtype == "BF16") file.ReadFloats(tensor.name);
      if (tensor.dtype == "I32") file.ReadInts(tensor.name);
    }
  } catch (const Error&) {
  }
  return 0;
}
