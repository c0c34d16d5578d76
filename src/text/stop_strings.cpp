#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace moescope::text {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::erase(strings_, "");
  for (const std::string& string : strings_) longest_ = std::max(longest_, string.size());
}

std::string StopStrings::Push(const std::string& text) {
  if (stopped_) return "";
  pending_ += text;
  size_t end = std::string::npos;
  for (const std::string& string : strings_) end = std::min(end, pending_.find(string));
  if (end != std::string::npos) {
    stopped_ = true;
    return std::exchange(pending_, "").substr(0, end);
  }
  // The longest tail that some stop string begins with.
  size_t held = std::min(pending_.size(), longest_ > 0 ? longest_ - 1 : 0);
  for (; held > 0; --held) {
    const std::string_view tail = std::string_view(pending_).substr(pending_.size() - held);
    const auto begins = [&](const std::string& string) { return string.starts_with(tail); };
    if (std::any_of(strings_.begin(), strings_.end(), begins)) break;
  }
  std::string shown = pending_.substr(0, pending_.size() - held);
  pending_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::Flush() {
  return stopped_ ? "" : std::exchange(pending_, "");
}

}  // namespace moescope::text
