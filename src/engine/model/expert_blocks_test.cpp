#include "engine/model/expert_blocks.h"

#include <gtest/gtest.h>

#include <vector>

namespace moescope::engine {
namespace {

TEST(ExpertBlocks, SortsByExpertThenRowAndSkipsDroppedSlots) {
  const std::vector<int16_t> experts = {2, 0, 0, -1, 2, 1};  // three rows, two slots
  std::vector<int64_t> row(6), output_index(6);
  std::vector<int16_t> slot(6);
  ExpertBlocks blocks(3, 6);
  int64_t n = blocks.Build(experts, 2, 8, 256, {row.data(), slot.data(), output_index.data()});
  EXPECT_EQ(n, 5);
  row.resize(5), slot.resize(5);
  EXPECT_EQ(row, (std::vector<int64_t>{0, 1, 2, 0, 2}));
  EXPECT_EQ(slot, (std::vector<int16_t>{1, 0, 1, 0, 0}));
  EXPECT_EQ(output_index, (std::vector<int64_t>{3, 0, 1, -1, 4, 2}));
  ASSERT_EQ(blocks.blocks().size(), 3u);
  EXPECT_EQ(blocks.blocks()[2].expert, 2);
  EXPECT_EQ(blocks.blocks()[2].begin, 3);
  EXPECT_EQ(blocks.blocks()[2].n_rows, 2);
}

TEST(ExpertBlocks, CutsAPopularExpertIntoEqualBlocksThatCoverItOnce) {
  std::vector<int16_t> experts(1000, 1);
  experts[0] = 3;
  std::vector<int64_t> row(1000), output_index(1000);
  std::vector<int16_t> slot(1000);
  ExpertBlocks blocks(4, 1000);
  blocks.Build(experts, 1, 4, 100, {row.data(), slot.data(), output_index.data()});
  int64_t next = 0;
  for (const ExpertBlock& block : blocks.blocks()) {
    EXPECT_EQ(block.begin, next);
    EXPECT_GE(block.n_rows, 1);
    EXPECT_LE(block.n_rows, 100);
    next += block.n_rows;
  }
  EXPECT_EQ(next, 1000);
  EXPECT_EQ(blocks.blocks().size(), 11u);  // ten of 99.9 rows for expert 1, one for expert 3
}

}  // namespace
}  // namespace moescope::engine
