// A tokenizer.model of any bytes: refused with an Error, or a vocabulary that keeps its promises.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "files/vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope;
  try {
    files::Vocabulary vocabulary = files::ParseSentencePieceModel(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.model");
    files::CheckVocabulary(vocabulary, "fuzz.model");
    vocabulary.Identity();
  } catch (const Error&) {
  }
  return 0;
}
