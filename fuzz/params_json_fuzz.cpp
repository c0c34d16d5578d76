// A params.json of any bytes: refused with an Error, or the parameters can be counted.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "files/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    files::ModelConfig config =
        files::ParseParamsJson(std::string(reinterpret_cast<const char*>(data), size), "fuzz.json");
    files::ParameterCounts counts = files::CountParameters(config);
    if (counts.active > counts.total) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
