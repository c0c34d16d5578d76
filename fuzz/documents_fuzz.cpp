// Random bytes as a .jsonl or .txt file, plain or with gzip around: documents or one of our errors.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "text/byte_stream.h"
#include "text/document_file.h"
#include "text/gzip_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moescope::text;
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  DataSpec spec;
  spec.name = "fuzz";
  spec.raw = (choice & 1) != 0;
  if ((choice & 2) != 0) spec.unit_field = "u";
  if ((choice & 4) != 0) spec.text_template = "{a}\\n{b}";
  try {
    auto stream = MakeMemoryStream(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
    if ((choice & 8) != 0) stream = MakeGzipStream(std::move(stream), "fuzz");
    const auto read = (choice & 16) != 0 ? ReadTextFile : ReadJsonLines;
    const auto file = read(spec, {"fuzz", "fuzz"}, std::move(stream));
    for (Document document; file->Next(document);) {
    }
  } catch (const moescope::Error&) {
  }
  return 0;
}
