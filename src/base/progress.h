// A progress bar on stderr, with rate and time left; silent when stderr is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace moescope {

// Draws at most ten times a second; the destructor clears the line. Not thread-safe.
class ProgressBar {
 public:
  // `total` 0: unknown; set_fraction then says how far it is. `unit` follows the count: "tokens".
  ProgressBar(std::string title, uint64_t total, std::string unit);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // The work done so far. The first value is where the rate starts (a resumed run starts late).
  void Update(uint64_t done);
  // The share of the work that is done, where the total is not known in the unit shown.
  void set_fraction(double fraction) { fraction_ = fraction; }

 private:
  using Clock = std::chrono::steady_clock;
  std::string title_;
  std::string unit_;
  uint64_t total_;
  bool enabled_;
  bool started_ = false;
  uint64_t first_done_ = 0;
  double fraction_ = 0;
  Clock::time_point start_;
  Clock::time_point last_drawn_;
};

}  // namespace moescope
