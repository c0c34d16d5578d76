#include "text/encoding_room.h"

#include <algorithm>

namespace moescope::text {

void MakeRoom(Encoding& out, size_t n_source, size_t source_at, size_t max_tokens) {
  const size_t n = out.ids.size();
  size_t expected = std::min<size_t>(n_source + 16, 4096);
  if (source_at > 0) {
    expected = static_cast<size_t>(1.03 * static_cast<double>(n) * static_cast<double>(n_source) /
                                   static_cast<double>(source_at));
  }
  const size_t room = std::max(std::min(expected, max_tokens), n + n / 8 + 16);
  out.ids.reserve(room);
  out.byte_start.reserve(room);
  out.byte_end.reserve(room);
}

void Truncate(Encoding& out, size_t n_tokens) {
  out.ids.resize(n_tokens);
  out.byte_start.resize(n_tokens);
  out.byte_end.resize(n_tokens);
}

}  // namespace moescope::text
