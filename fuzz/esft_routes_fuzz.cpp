// Route files of the ESFT scripts.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "store/esft_routes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    moescope::store::EsftRoutes routes =
        moescope::store::ParseEsftRoutes(text, {.n_experts = 8, .experts_per_token = 2}, "routes");
    if (routes.experts.size() != routes.weights.size()) std::abort();
  } catch (const moescope::Error&) {
  }
  return 0;
}
