// Reading a file past the system's page cache, straight into our memory: for weights that are read
// again and again and are larger than memory, where a second copy would only push out the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/platform/file.h"

namespace moescope {

// Offsets, sizes and addresses of direct reads are multiples of it: what every common file system
// and disk asks for at most.
inline constexpr uint64_t kDirectAlignment = 4096;

// One read call of the system, so that tests can cut it short or let it fail. Implementations are
// thread-safe.
class DirectFile {
 public:
  virtual ~DirectFile() = default;
  virtual const std::string& path() const = 0;
  // Reads some of the bytes from `offset` on and returns how many; 0 at the end of the file.
  // Requires: offset, out.size() and out.data() are multiples of kDirectAlignment.
  // Throws Error(kIo).
  virtual size_t ReadSome(uint64_t offset, std::span<std::byte> out) const = 0;
  // Throws Error(kIo).
  virtual FileState State() const = 0;
};

// Reads past the page cache where the file system can, otherwise through it.
// Throws Error(kNotFound), Error(kIo).
std::unique_ptr<DirectFile> OpenDirectFile(const std::string& path);

// Fills `out` with whole aligned blocks from `begin`; bytes from `end` on need not be there.
// Requires: alignment as ReadSome; begin <= end <= begin + out.size(); the file was in the state
// `expected` when its contents were checked. Throws Error(kIo), and Error(kCorrupt) naming
// path@offset when it is in another state or ends before `end`.
void ReadDirect(const DirectFile& file, const FileState& expected, uint64_t begin, uint64_t end,
                std::span<std::byte> out);

}  // namespace moescope
