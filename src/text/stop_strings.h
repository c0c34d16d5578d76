// Ends a stream of text where one of some strings occurs, and never shows a part of it.
#pragma once

#include <string>
#include <vector>

namespace moescope::text {

// Text arrives in pieces; what may be the beginning of a stop string is held back. Not thread-safe.
class StopStrings {
 public:
  // Empty strings are left out.
  explicit StopStrings(std::vector<std::string> strings);

  // The text that is now certain to be shown. After stopped() nothing more is.
  std::string Push(const std::string& text);
  // What is left when no more text comes.
  std::string Flush();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> strings_;
  size_t longest_ = 0;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace moescope::text
