// An .npy file of any bytes: refused with an Error, or every row it claims can be read.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "files/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    const files::NpyArray array =
        files::NpyArray::Open(MakeMemoryFile("fuzz.npy", std::as_bytes(std::span(data, size))));
    if (array.dim() == 0) return 0;
    std::vector<float> row(static_cast<size_t>(array.dim()));
    for (int64_t i = 0; i < array.n_rows(); ++i) array.ReadRow(i, row);
  } catch (const Error&) {
  }
  return 0;
}
