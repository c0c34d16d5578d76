#include "lab/attention_matrices.h"

#include <algorithm>
#include <cmath>

namespace moescope::lab {
namespace {

// A block has at most 2^24 rows, each of weight 1: sums stay below 2^56.
constexpr double kFixedPoint = 0x1p31;

int64_t BlocksOf(int64_t n_positions, int64_t block) {
  return (n_positions + block - 1) / block;
}

}  // namespace

std::vector<int64_t> ChooseBlocks(std::span<const MatricesWanted> models, int64_t max_cells) {
  std::vector<int64_t> blocks;
  for (const MatricesWanted& model : models) {
    const bool whole = model.n_positions <= kMaxUnpooledTokens;
    blocks.push_back(whole ? 1 : BlocksOf(model.n_positions, kMaxBlocks));
  }
  while (true) {
    int64_t total = 0, most = 0;
    size_t largest = models.size();
    for (size_t i = 0; i < models.size(); ++i) {
      const int64_t n_blocks = BlocksOf(models[i].n_positions, blocks[i]);
      const int64_t cells = models[i].n_matrices * TriangleCells(n_blocks);
      total += cells;
      if (n_blocks > 1 && cells > most) {
        most = cells;
        largest = i;
      }
    }
    if (total <= max_cells || largest == models.size()) return blocks;
    ++blocks[largest];
  }
}

AttentionMatricesProbe::AttentionMatricesProbe(const files::ModelConfig& config,
                                               int64_t n_positions, int64_t block)
    : n_heads_(config.n_heads),
      n_positions_(n_positions),
      block_(block),
      n_blocks_(BlocksOf(n_positions, block)),
      sums_(std::make_unique<std::atomic<int64_t>[]>(Cell(config.n_layers, 0, 0, 0))) {}

uint64_t AttentionMatricesProbe::Bytes(const files::ModelConfig& config, int64_t n_positions,
                                       int64_t block) {
  return sizeof(std::atomic<int64_t>) * static_cast<uint64_t>(config.n_layers) *
         static_cast<uint64_t>(config.n_heads) *
         static_cast<uint64_t>(TriangleCells(BlocksOf(n_positions, block)));
}

void AttentionMatricesProbe::OnAttention(const routing::AttentionBatch& batch) {
  if (batch.rows[0].sequence != 0) return;
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const int64_t position = batch.rows[row].position;
    const float* weights = batch.weights.data() + row * static_cast<size_t>(batch.n_keys);
    std::atomic<int64_t>* to = &sums_[Cell(batch.layer, batch.head, position / block_, 0)];
    for (int64_t key = batch.first_key; key <= position;) {
      const int64_t block = key / block_;
      const int64_t end = std::min((block + 1) * block_, position + 1);
      int64_t sum = 0;
      for (; key < end; ++key) {
        sum += std::llround(double{weights[key - batch.first_key]} * kFixedPoint);
      }
      to[block].fetch_add(sum, std::memory_order_relaxed);
    }
  }
}

double AttentionMatricesProbe::Weight(int layer, int head, int64_t query, int64_t key) const {
  const int64_t sum = sums_[Cell(layer, head, query, key)].load(std::memory_order_relaxed);
  return static_cast<double>(sum) / kFixedPoint / static_cast<double>(RowsOf(query));
}

double AttentionMatricesProbe::MeanOfHeads(int layer, int64_t query, int64_t key) const {
  double sum = 0;
  for (int head = 0; head < n_heads_; ++head) sum += Weight(layer, head, query, key);
  return sum / n_heads_;
}

int64_t AttentionMatricesProbe::RowsOf(int64_t query) const {
  return std::min(block_, n_positions_ - query * block_);
}

size_t AttentionMatricesProbe::Cell(int layer, int head, int64_t query, int64_t key) const {
  const int64_t matrix = int64_t{layer} * n_heads_ + head;
  return static_cast<size_t>(matrix * TriangleCells(n_blocks_) + TriangleCells(query) + key);
}

}  // namespace moescope::lab
