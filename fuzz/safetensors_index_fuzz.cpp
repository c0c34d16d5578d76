// An index of any bytes beside two good shards: refused with an Error, or a whole checkpoint.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "files/checkpoint.h"
#include "files/tiny_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  static std::map<std::string, std::string> contents = files::TinyShardedFolder();
  contents["model.safetensors.index.json"] = std::string(reinterpret_cast<const char*>(data), size);
  try {
    files::Checkpoint checkpoint =
        files::Checkpoint::Open(*files::MakeMemoryFolder("fuzz", contents), "");
    if (checkpoint.tensors().size() != 29) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
