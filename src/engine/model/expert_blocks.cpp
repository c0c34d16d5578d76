#include "engine/model/expert_blocks.h"

#include <algorithm>

#include "base/error.h"

namespace moescope::engine {

ExpertBlocks::ExpertBlocks(int n_experts, int64_t max_assignments)
    : begin_(static_cast<size_t>(n_experts) + 1) {
  blocks_.reserve(static_cast<size_t>(n_experts + max_assignments / kMinRows + 1));
}

int64_t ExpertBlocks::Build(std::span<const int16_t> experts, int experts_per_token,
                            int64_t n_tasks, int64_t max_rows, const AssignmentArrays& out) {
  const int n_experts = static_cast<int>(begin_.size()) - 1;
  std::fill(begin_.begin(), begin_.end(), 0);
  for (int16_t expert : experts) {
    MOESCOPE_CHECK(expert >= -1 && expert < n_experts);
    if (expert >= 0) ++begin_[static_cast<size_t>(expert) + 1];
  }
  for (int e = 0; e < n_experts; ++e) begin_[e + 1] += begin_[e];
  const int64_t n_assignments = begin_[n_experts];

  blocks_.clear();
  const int64_t aim = std::clamp((n_assignments / n_tasks + 15) / 16 * 16, kMinRows, max_rows);
  for (int expert = 0; expert < n_experts; ++expert) {
    const int64_t n_rows = begin_[expert + 1] - begin_[expert];
    const int64_t n_blocks = (n_rows + aim - 1) / aim;
    for (int64_t block = 0; block < n_blocks; ++block) {
      const int64_t first = n_rows * block / n_blocks;
      const int64_t last = n_rows * (block + 1) / n_blocks;
      blocks_.push_back({expert, begin_[expert] + first, last - first});
    }
  }

  // begin_ now serves as the place of each expert's next assignment.
  for (size_t i = 0; i < experts.size(); ++i) {
    out.output_index[i] = -1;
    if (experts[i] < 0) continue;
    const int64_t place = begin_[experts[i]]++;
    out.output_index[i] = place;
    out.row[place] = static_cast<int64_t>(i) / experts_per_token;
    out.slot[place] = static_cast<int16_t>(static_cast<int64_t>(i) % experts_per_token);
  }
  return n_assignments;
}

}  // namespace moescope::engine
