// Where the matrices of each expert lie in the checkpoint's files, and where in a slot of memory.
// Format: docs/expert-streaming.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/weight_matrix.h"
#include "files/checkpoint.h"

namespace moescope::engine {

// One matrix of an expert. It keeps its offset within a block of the disk, so that a read of whole
// blocks from `read_begin()` puts it in place without a copy.
struct ExpertPiece {
  const files::TensorLocation* location = nullptr;
  uint64_t slot_offset = 0;  // of the matrix; the slot's own address is a multiple of a block
};

// Cells are numbered layer * n_experts + expert. Immutable.
class ExpertLayout {
 public:
  // The checkpoint must outlive the layout. Requires: it has weights.
  explicit ExpertLayout(const files::Checkpoint& checkpoint);

  int n_layers() const { return n_layers_; }
  int n_experts() const { return n_experts_; }  // in a layer; 1 where it is dense
  int n_cells() const { return n_layers_ * n_experts_; }
  int Cell(int layer, int expert) const { return layer * n_experts_ + expert; }

  // gate_proj where there is one, up_proj, down_proj.
  std::span<const ExpertPiece> Pieces(int cell) const {
    return std::span(pieces_).subspan(static_cast<size_t>(cell * n_pieces_),
                                      static_cast<size_t>(n_pieces_));
  }
  // The matrix of a piece in the slot at `slot`; of a null slot only its shape.
  static WeightMatrix MatrixIn(const std::byte* slot, const ExpertPiece& piece);

  // Of the largest expert, a multiple of a block: what one slot takes.
  uint64_t slot_bytes() const { return slot_bytes_; }
  // As stored, without what blocks add.
  uint64_t CellBytes(int cell) const;

 private:
  int n_layers_, n_experts_;
  int n_pieces_ = 0;
  std::vector<ExpertPiece> pieces_;  // [n_cells, n_pieces_]
  uint64_t slot_bytes_ = 0;
};

// Whether a tensor is one of an expert's matrices; its biases are small and stay in memory.
bool IsExpertMatrix(files::TensorKind kind);

}  // namespace moescope::engine
