// Gzip through zlib, which checks each member's length and checksum; libarchive does not.
#pragma once

#include <memory>
#include <string>

#include "text/byte_stream.h"

namespace moescope::text {

// The decompressed bytes of `compressed`: one member or several. `path` names it in errors.
// Read throws Error(kCorrupt) for other content, a truncated file or a wrong checksum.
std::unique_ptr<ByteStream> MakeGzipStream(std::unique_ptr<ByteStream> compressed,
                                           const std::string& path);

}  // namespace moescope::text
