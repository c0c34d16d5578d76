// Which rows each expert has to compute: the wave's assignments sorted by expert, cut into blocks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moescope::engine {

// Consecutive assignments of one expert.
struct ExpertBlock {
  int expert = 0;
  int64_t begin = 0;  // index of the first assignment
  int64_t n_rows = 0;
};

struct AssignmentArrays {
  int64_t* row = nullptr;           // [n_assignments] row of the wave
  int16_t* slot = nullptr;          // [n_assignments] which choice of it
  int64_t* output_index = nullptr;  // [n_rows * experts_per_token] the inverse; -1: dropped slot
};

class ExpertBlocks {
 public:
  // Keeps room for the blocks of `max_assignments`.
  ExpertBlocks(int n_experts, int64_t max_assignments);

  // Sorts the choices [n_rows * experts_per_token] by expert, then row, then slot, and cuts each
  // expert's part into equal blocks of at most about 1 / `n_tasks` of the whole, within
  // [kMinRows, max_rows]. Returns the number of assignments (dropped slots have none).
  int64_t Build(std::span<const int16_t> experts, int experts_per_token, int64_t n_tasks,
                int64_t max_rows, const AssignmentArrays& out);
  std::span<const ExpertBlock> blocks() const { return blocks_; }

 private:
  static constexpr int64_t kMinRows = 32;
  std::vector<int64_t> begin_;  // [n_experts + 1]
  std::vector<ExpertBlock> blocks_;
};

}  // namespace moescope::engine
