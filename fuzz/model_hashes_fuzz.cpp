// Recorded hashes of any content under a right hash of their own: refused with an Error, or written
// again as they were read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "lab/model_hashes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  const std::string head(reinterpret_cast<const char*>(data), size);
  try {
    const lab::ModelHashes hashes = lab::ParseModelHashes(lab::SealModelHashes(head), "fuzz.json");
    const std::string text = lab::FormatModelHashes(hashes);
    if (lab::FormatModelHashes(lab::ParseModelHashes(text, "again.json")) != text) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
