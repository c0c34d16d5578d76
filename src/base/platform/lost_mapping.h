// What happens when a mapped file loses pages: it was cut while mapped, or its disk failed. The
// system then sends SIGBUS to whoever touches them, which nothing can turn into an exception.
#pragma once

#include <string>

#include "base/bytes.h"

namespace moescope {

// While one lives, touching a lost page of `bytes` ends the process with one line on stderr that
// names `path`, and the exit code of Error(kIo). No destructor runs: what was committed to disk
// stays, as after a kill. Any other SIGBUS does what it did before.
// Thread-safe. Of more than 4,096 at a time, the later ones are not watched.
class LostMappingGuard {
 public:
  // Requires: `bytes` is mapped, and stays so while the guard lives.
  LostMappingGuard(ByteSpan bytes, const std::string& path);
  ~LostMappingGuard();
  LostMappingGuard(const LostMappingGuard&) = delete;
  LostMappingGuard& operator=(const LostMappingGuard&) = delete;

 private:
  std::string message_;
  int slot_ = -1;
};

}  // namespace moescope
