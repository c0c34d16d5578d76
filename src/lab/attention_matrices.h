// The attention matrices of all heads, small enough for a page: of long texts, or of models with
// many heads, tokens are pooled to blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "files/model_config.h"
#include "routing/probe.h"

namespace moescope::lab {

// Cells of the lower triangle of a matrix with so many rows, the diagonal included.
constexpr int64_t TriangleCells(int64_t n_rows) {
  return n_rows * (n_rows + 1) / 2;
}

// How many matrices, of which size, a page is to hold of one model.
struct MatricesWanted {
  int64_t n_matrices = 0, n_positions = 0;
};
// Texts of at most so many tokens are kept token by token when the cells allow it; longer ones are
// pooled to at most kMaxBlocks blocks.
inline constexpr int64_t kMaxUnpooledTokens = 256;
inline constexpr int64_t kMaxBlocks = 128;

// Tokens a block of each model's matrices (1: not pooled), so that together they have at most
// max_cells cells, or one cell each where even that is more. The model with the most cells gives
// way first.
std::vector<int64_t> ChooseBlocks(std::span<const MatricesWanted> models, int64_t max_cells);

// Keeps the matrices of every head of the first sequence. A cell is the share of a row's weight
// that goes to a block of keys, mean over the rows of a block of queries: rows sum to 1 still. Sums
// are of fixed-point numbers, so they are the same for any number of threads.
class AttentionMatricesProbe : public routing::Probe {
 public:
  AttentionMatricesProbe(const files::ModelConfig& config, int64_t n_positions, int64_t block);
  // What one takes.
  static uint64_t Bytes(const files::ModelConfig& config, int64_t n_positions, int64_t block);

  uint32_t sites() const override { return routing::kSiteAttention; }
  void OnAttention(const routing::AttentionBatch& batch) override;

  int64_t block() const { return block_; }
  int64_t n_blocks() const { return n_blocks_; }
  // Requires: key <= query < n_blocks().
  double Weight(int layer, int head, int64_t query, int64_t key) const;
  double MeanOfHeads(int layer, int64_t query, int64_t key) const;

 private:
  int64_t RowsOf(int64_t query) const;
  size_t Cell(int layer, int head, int64_t query, int64_t key) const;

  int n_heads_;
  int64_t n_positions_, block_, n_blocks_;
  std::unique_ptr<std::atomic<int64_t>[]> sums_;  // [n_layers, n_heads, TriangleCells(n_blocks)]
};

}  // namespace moescope::lab
