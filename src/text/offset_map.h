// Where in a text each byte of its changed version comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moescope::text {

// A list of replaced stretches; between them the texts are alike. Filled from left to right, read
// from left to right in constant time a step.
class OffsetMap {
 public:
  void clear() { edits_.clear(); }
  bool empty() const { return edits_.empty(); }
  // [source, source + n_source) became [out, out + n_out). Requires: behind the last one.
  void Replace(size_t source, size_t n_source, size_t out, size_t n_out);

  // Keeps the place of the last question; answers any question, but fast only increasing ones.
  struct Cursor {
    size_t edit = 0;
  };
  // Source of the end of what ends at `out`: something removed there belongs to what follows. A
  // place inside a replaced stretch is as far along its source.
  size_t EndInSource(size_t out, Cursor& cursor) const { return InSource(out, false, cursor); }
  // Source of the beginning of what begins at `out`.
  size_t BeginInSource(size_t out, Cursor& cursor) const { return InSource(out, true, cursor); }

 private:
  struct Edit {
    uint32_t out, n_out;
    uint32_t source, n_source;
  };
  size_t InSource(size_t out, bool begins, Cursor& cursor) const;

  std::vector<Edit> edits_;
};

}  // namespace moescope::text
