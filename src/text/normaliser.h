// Changes a vocabulary makes to a text before cutting it, and where the changed text comes from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "files/vocabulary.h"
#include "text/offset_map.h"

namespace moescope::text {

// A text after some steps: the text itself where none of them changed it. Memory is kept for the
// next one.
class NormalisedText {
 public:
  std::string_view text() const { return text_; }
  size_t EndInSource(size_t at);
  size_t BeginInSource(size_t at);
  // Bytes kept.
  size_t capacity() const { return buffers_[0].capacity() + buffers_[1].capacity(); }

 private:
  friend class Normaliser;
  std::string_view text_;
  std::string buffers_[2];
  // Of the steps that changed something, the first one first.
  std::vector<OffsetMap> maps_;
  std::vector<OffsetMap::Cursor> cursors_;
  size_t n_maps_ = 0;
};

// Linear in the text. Immutable and thread-safe.
class Normaliser {
 public:
  explicit Normaliser(std::vector<files::NormaliserStep> steps) : steps_(std::move(steps)) {}
  bool empty() const { return steps_.empty(); }
  // `out` refers to `text` or to its own memory. Broken bytes stay as they are.
  void Apply(std::string_view text, NormalisedText& out) const;

 private:
  std::vector<files::NormaliserStep> steps_;
};

}  // namespace moescope::text
