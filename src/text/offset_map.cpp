#include "text/offset_map.h"

namespace moescope::text {

void OffsetMap::Replace(size_t source, size_t n_source, size_t out, size_t n_out) {
  const Edit edit = {static_cast<uint32_t>(out), static_cast<uint32_t>(n_out),
                     static_cast<uint32_t>(source), static_cast<uint32_t>(n_source)};
  if (!edits_.empty()) {
    Edit& last = edits_.back();
    // A run of the same replacement is one stretch.
    const bool adjoins = last.out + last.n_out == out && last.source + last.n_source == source;
    const bool alike = uint64_t{last.n_out} * n_source == uint64_t{last.n_source} * n_out;
    if (adjoins && alike && n_out > 0 && n_source > 0) {
      last.n_out += edit.n_out;
      last.n_source += edit.n_source;
      return;
    }
  }
  edits_.push_back(edit);
}

size_t OffsetMap::InSource(size_t out, bool begins, Cursor& cursor) const {
  // The last edit before `out`; one exactly there counts only if it removed text before a
  // beginning.
  const auto is_before = [&](const Edit& edit) {
    return edit.out < out || (begins && edit.out == out && edit.n_out == 0);
  };
  if (cursor.edit > edits_.size() || (cursor.edit > 0 && !is_before(edits_[cursor.edit - 1]))) {
    cursor.edit = 0;
  }
  while (cursor.edit < edits_.size() && is_before(edits_[cursor.edit])) ++cursor.edit;
  if (cursor.edit == 0) return out;
  const Edit& edit = edits_[cursor.edit - 1];
  const uint64_t along = out - edit.out;
  if (along >= edit.n_out) return edit.source + edit.n_source + (along - edit.n_out);
  return edit.source + along * edit.n_source / edit.n_out;
}

}  // namespace moescope::text
