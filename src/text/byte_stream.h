// The bytes of one input file as a stream, decompressed on the way if its name says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace moescope::text {

enum class Compression { kNone, kGzip, kXz, kZstd };

// Not thread-safe. Holds one block and the decompressor's window, whatever the size of the file.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fills from the front of `out`; 0 only at the end.
  // Throws Error(kIo); Error(kCorrupt) naming the file when it is truncated or not what its name
  // says.
  virtual size_t Read(std::span<char> out) = 0;
  // Bytes of the file itself consumed so far.
  virtual uint64_t bytes_read() const = 0;
};

// `path` "-" is standard input. Throws Error(kNotFound), Error(kIo), Error(kBadInput) for a folder.
std::unique_ptr<ByteStream> OpenByteStream(const std::string& path, Compression compression);

// The same over memory, for tests and fuzz targets. Takes a copy.
std::unique_ptr<ByteStream> MakeMemoryStream(std::string bytes);

}  // namespace moescope::text
