#include "engine/experts/expert_layout.h"

#include <algorithm>

#include "base/error.h"
#include "base/platform/direct_file.h"

namespace moescope::engine {
namespace {

using files::TensorKind;

constexpr TensorKind kMatrices[] = {TensorKind::kGateProj, TensorKind::kUpProj,
                                    TensorKind::kDownProj};

uint64_t RoundUp(uint64_t n) {
  return (n + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
}

}  // namespace

bool IsExpertMatrix(TensorKind kind) {
  return std::find(std::begin(kMatrices), std::end(kMatrices), kind) != std::end(kMatrices);
}

ExpertLayout::ExpertLayout(const files::Checkpoint& checkpoint)
    : n_layers_(checkpoint.config().n_layers), n_experts_(checkpoint.config().n_feed_forwards()) {
  for (TensorKind kind : kMatrices) n_pieces_ += files::HasTensor(kind, checkpoint.config());
  for (int cell = 0; cell < n_cells(); ++cell) {
    uint64_t at = 0;
    for (TensorKind kind : kMatrices) {
      if (!files::HasTensor(kind, checkpoint.config())) continue;
      const files::TensorLocation& location =
          checkpoint.tensor({kind, cell / n_experts_, cell % n_experts_});
      MOESCOPE_CHECK(location.shape.size() == 2);
      const uint64_t in_block = location.offset % kDirectAlignment;
      pieces_.push_back({&location, at + in_block});
      at += RoundUp(in_block + location.n_bytes);
    }
    slot_bytes_ = std::max(slot_bytes_, at);
  }
}

WeightMatrix ExpertLayout::MatrixIn(const std::byte* slot, const ExpertPiece& piece) {
  const files::TensorLocation& location = *piece.location;
  return {.data = slot == nullptr ? nullptr : slot + piece.slot_offset,
          .dtype = location.dtype,
          .rows = location.shape[0],
          .cols = location.shape[1],
          .n_bytes = location.n_bytes};
}

uint64_t ExpertLayout::CellBytes(int cell) const {
  uint64_t n_bytes = 0;
  for (const ExpertPiece& piece : Pieces(cell)) n_bytes += piece.location->n_bytes;
  return n_bytes;
}

}  // namespace moescope::engine
