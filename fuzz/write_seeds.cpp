// Writes the seeds of the checkpoint parsers into a folder: write_fuzz_seeds fuzz/seeds.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "files/tiny_model.h"

namespace {

void Write(const std::string& folder, const std::string& target, const std::string& name,
           const std::string& bytes) {
  std::filesystem::path directory = std::filesystem::path(folder) / target;
  std::filesystem::create_directories(directory);
  std::ofstream(directory / name, std::ios::binary) << bytes;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace moescope::files;
  if (argc != 2) {
    std::fputs("usage: write_fuzz_seeds DIRECTORY\n", stderr);
    return 64;
  }
  std::string folder = argv[1];
  Write(folder, "gguf_fuzz", "tiny", TinyGguf().bytes());
  Write(folder, "config_json_fuzz", "tiny", TinyConfigJson());
  Write(folder, "params_json_fuzz", "tiny", TinyParamsJson());
  Write(folder, "safetensors_index_fuzz", "tiny",
        TinyShardedFolder()["model.safetensors.index.json"]);
  Write(folder, "tokenizer_model_fuzz", "tiny", TinyTokenizerModel());
  Write(folder, "tokenizer_json_fuzz", "characters", TinyTokenizerJson());
  Write(folder, "tokenizer_json_fuzz", "bytes", TinyByteLevelJson());
  Write(folder, "safetensors_fuzz", "types",
        WriteSafetensors({{"a", "F32", {2, 2}, std::string(16, 'a')},
                          {"b", "BF16", {3}, std::string(6, 'b')},
                          {"c", "I32", {1}, std::string(4, 'c')},
                          {"empty", "U8", {0}, ""},
                          {"scalar", "F16", {}, "ss"}}));
}
