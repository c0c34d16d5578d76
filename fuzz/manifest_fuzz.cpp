// manifest.json. The hash at its end would hide the parser from the fuzzer, so it is put right
// first; what is read must come out the same when written again.
#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "store/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string head(input.substr(0, input.find(",\n  \"manifest_xxh3\"")));
  std::string sealed = head + fmt::format(",\n  \"manifest_xxh3\": \"{:016x}\"\n}}\n",
                                          XXH3_64bits(head.data(), head.size()));
  for (std::string_view text : {input, std::string_view(sealed)}) {
    try {
      moescope::store::Manifest manifest = moescope::store::ParseManifest(text, "manifest.json");
      std::string written = moescope::store::FormatManifest(manifest);
      if (moescope::store::FormatManifest(moescope::store::ParseManifest(written, "again")) !=
          written) {
        std::abort();
      }
    } catch (const moescope::Error&) {
    }
  }
  return 0;
}
