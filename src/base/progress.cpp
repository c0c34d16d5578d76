#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace moescope {

ProgressBar::ProgressBar(std::string title, uint64_t total, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      enabled_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (enabled_ && started_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::Update(uint64_t done) {
  if (!enabled_) return;
  auto now = Clock::now();
  if (!started_) {
    started_ = true;
    first_done_ = done;
    start_ = now;
  } else if (now - last_drawn_ < std::chrono::milliseconds(100)) {
    return;
  }
  last_drawn_ = now;
  double seconds = std::chrono::duration<double>(now - start_).count();
  double rate = seconds > 0 ? static_cast<double>(done - first_done_) / seconds : 0;
  double total = total_ > 0      ? static_cast<double>(total_)
                 : fraction_ > 0 ? static_cast<double>(done) / fraction_
                                 : 0;
  std::string line = fmt::format("\r\033[K{} ", title_);
  if (total > 0) {
    constexpr int kWidth = 24;
    double fraction = std::min(1.0, static_cast<double>(done) / total);
    for (int i = 0; i < kWidth; ++i) line += i < fraction * kWidth ? "━" : "╌";
    line += fmt::format(" {:3.0f} %", 100 * fraction);
  }
  line += fmt::format("  {} {}", FormatCount(done), unit_);
  if (rate > 0) line += fmt::format("  {}/s", FormatCount(static_cast<uint64_t>(rate)));
  if (rate > 0 && total > static_cast<double>(done)) {
    line += fmt::format("  {} left", FormatSeconds((total - static_cast<double>(done)) / rate));
  }
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace moescope
