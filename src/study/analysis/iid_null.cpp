#include "study/analysis/iid_null.h"

#include <algorithm>
#include <cmath>

namespace moescope::study {
namespace {

constexpr int64_t kMaxRepeats = 1000, kMinRepeats = 16;
constexpr int64_t kRowsToDraw = int64_t{1} << 20;

}  // namespace

int64_t IidDraws::MaxCount(int64_t n, Random& random) {
  std::fill(counts_.begin(), counts_.end(), 0);
  for (int64_t draw = 0; draw < n; ++draw) {
    const int16_t* row = decisions_.data() + random.Below(n_rows_) * n_slots_;
    for (int slot = 0; slot < n_slots_; ++slot) {
      if (row[slot] >= 0) ++counts_[row[slot]];
    }
  }
  return *std::max_element(counts_.begin(), counts_.end());
}

double ExpectedMaxShare(std::span<const int16_t> decisions, int n_slots, int n_experts, int64_t n,
                        uint64_t key) {
  if (n <= 0 || decisions.empty()) return std::nan("");
  const int64_t repeats = std::clamp(kRowsToDraw / n, kMinRepeats, kMaxRepeats);
  IidDraws draws(decisions, n_slots, n_experts);
  Random random(key);
  int64_t sum = 0;
  for (int64_t repeat = 0; repeat < repeats; ++repeat) sum += draws.MaxCount(n, random);
  return static_cast<double>(sum) / (static_cast<double>(repeats) * static_cast<double>(n));
}

}  // namespace moescope::study
