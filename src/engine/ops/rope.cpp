#include "engine/ops/rope.h"

#include <cmath>
#include <vector>

#include "base/error.h"

namespace moescope::engine {

RopeTable::RopeTable(int head_dim, double theta, int64_t n_positions, files::RopeLayout layout)
    : half_(head_dim / 2),
      layout_(layout),
      table_(static_cast<uint64_t>(head_dim) * static_cast<uint64_t>(n_positions),
             "rotary embedding") {
  MOESCOPE_CHECK(head_dim % 2 == 0);
  std::vector<double> frequency(half_);
  for (int pair = 0; pair < half_; ++pair) {
    frequency[pair] = std::pow(theta, -2.0 * pair / head_dim);
  }
  float* out = table_.data();
  for (int64_t position = 0; position < n_positions; ++position, out += head_dim) {
    for (int pair = 0; pair < half_; ++pair) {
      double angle = static_cast<double>(position) * frequency[pair];
      out[pair] = static_cast<float>(std::cos(angle));
      out[half_ + pair] = static_cast<float>(std::sin(angle));
    }
  }
}

void RopeTable::Apply(float* heads, int n_heads, int64_t position) const {
  const float* cosine = table_.data() + static_cast<size_t>(position) * 2 * half_;
  const float* sine = cosine + half_;
  for (int head = 0; head < n_heads; ++head, heads += 2 * half_) {
    if (layout_ == files::RopeLayout::kHalves) {
      for (int pair = 0; pair < half_; ++pair) {
        float a = heads[pair], b = heads[pair + half_];
        heads[pair] = a * cosine[pair] - b * sine[pair];
        heads[pair + half_] = b * cosine[pair] + a * sine[pair];
      }
    } else {
      for (int pair = 0; pair < half_; ++pair) {
        float a = heads[2 * pair], b = heads[2 * pair + 1];
        heads[2 * pair] = a * cosine[pair] - b * sine[pair];
        heads[2 * pair + 1] = b * cosine[pair] + a * sine[pair];
      }
    }
  }
}

}  // namespace moescope::engine
