// Products of few rows of rounded activations, as decoding has them: weights are read once, in the
// order of memory, and meet the rows as they are taken apart, so reading them is what takes time.
// The same sums as in vector_rounded.h, which includes this file, for the same bits.
//
// A level offers, beside its Columns, ZeroCorrection<Spec>(block, part), with which a part's sum
// begins, and AddProducts<Spec>(sum, codes, x): sixteen codes of each column times sixteen of a
// row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/rounded_block.h"
#include "engine/kernels/vector_turned.h"

namespace moescope::engine {
namespace {

struct RoundedOperands {
  const RoundedBlock* x;
  const std::byte* w;
  size_t w_stride;
  float* out;
  size_t out_stride;
  int n_rows, n_cols, k;
};

// Above so many rows it pays to unpack weights into memory first.
constexpr int kFewRows = 4;

// Of each of the rows' columns the next bytes are asked for so far ahead: 16 KB for 16 columns,
// half a first-level cache.
constexpr size_t kBytesAhead = 1024;

// Multiplies codes at once, for R rows.
template <typename Spec, int R>
struct ProductSink {
  static constexpr int kParts = Spec::kBlockValues / Spec::kInfo.part;
  struct Sums {
    Columns whole[kParts][R];
    Vec steps[kParts];
    Vec offsets[Spec::kInfo.has_offset ? kParts : 1];
  };
  const RoundedBlock* const* x;  // [R] at the block's first 32 values
  Sums* sums;

  MOESCOPE_INLINE void Put(int value, Turned codes, Vec step) const {
    const int part = value / Spec::kInfo.part;
    for (int r = 0; r < R; ++r) {
      const int8_t* row = x[r][value / kRoundedValues].codes + value % kRoundedValues;
      sums->whole[part][r] = AddProducts<Spec>(sums->whole[part][r], codes, row);
    }
    sums->steps[part] = step;
  }
  MOESCOPE_INLINE void Put(int value, Turned codes, Vec step, Vec offset) const {
    Put(value, codes, step);
    sums->offsets[value / Spec::kInfo.part] = offset;
  }
};

// One block of each column against R rows: out += its parts in order.
template <typename Spec, int R>
MOESCOPE_INLINE void MultiplyBlock(const std::byte* w, const size_t* offsets,
                                   const RoundedBlock* const* x, Vec (&out)[R]) {
  using Sink = ProductSink<Spec, R>;
  typename Sink::Sums sums;
  for (int part = 0; part < Sink::kParts; ++part) {
    for (int r = 0; r < R; ++r) {
      sums.whole[part][r] = ZeroCorrection<Spec>(x[r][part / Spec::kParts], part % Spec::kParts);
    }
  }
  TakeApart(*reinterpret_cast<const typename Spec::Block*>(w),
            TurnedPlace<Sink>{{x, &sums}, offsets});
  for (int part = 0; part < Sink::kParts; ++part) {
    for (int r = 0; r < R; ++r) {
      const RoundedBlock& block = x[r][part / Spec::kParts];
      const Vec scale = Vec::Set(block.scale);
      out[r] = Fma(sums.whole[part][r].ToFloat(), sums.steps[part] * scale, out[r]);
      if constexpr (Spec::kInfo.has_offset) {
        const Vec scaled =
            Spec::kParts == 1
                ? Vec::Set(block.scaled_sum)
                : scale * Vec::Set(static_cast<float>(block.sums[part % Spec::kParts]));
        out[r] = Fma(scaled, sums.offsets[part], out[r]);
      }
    }
  }
}

// A register of columns from `column` on, R rows from `row` on; those beyond the last repeat it.
template <typename Spec, int R>
__attribute__((noinline)) void MultiplyFewColumns(const RoundedOperands& all, int row, int column) {
  constexpr size_t kBlockBytes = sizeof(typename Spec::Block);
  constexpr int kBlockRounded = Spec::kBlockValues / kRoundedValues;
  constexpr int kRun = 256 / Spec::kBlockValues;  // blocks asked for at once
  const int lanes = all.n_cols - column < Columns::kLanes ? all.n_cols - column : Columns::kLanes;
  size_t offsets[Columns::kLanes];
  for (int i = 0; i < Columns::kLanes; ++i) {
    offsets[i] = all.w_stride * static_cast<size_t>(i < lanes ? i : lanes - 1);
  }
  const RoundedBlock* x[R];
  const int rows = all.n_rows - row < R ? all.n_rows - row : R;
  for (int r = 0; r < R; ++r) {
    const int from = row + (r < rows ? r : rows - 1);
    x[r] = all.x + static_cast<size_t>(from) * static_cast<size_t>(all.k / kRoundedValues);
  }
  Vec sums[R];
  for (Vec& sum : sums) sum = Vec::Zero();

  const int n_blocks = all.k / Spec::kBlockValues;
  const size_t row_bytes = static_cast<size_t>(n_blocks) * kBlockBytes;
  const std::byte* const begin = all.w + static_cast<size_t>(column) * all.w_stride;
  // Ahead of the end of these columns' rows lie the beginnings of the next columns'.
  const size_t next_columns = Columns::kLanes * all.w_stride - row_bytes;
  for (int block = 0; block < n_blocks; ++block) {
    const size_t at = static_cast<size_t>(block) * kBlockBytes;
    if (block % kRun == 0) {
      size_t ahead = at + kBytesAhead;
      if (ahead >= row_bytes) ahead += next_columns;
      for (int i = 0; i < Columns::kLanes; ++i) {
        for (size_t byte = 0; byte < kRun * kBlockBytes; byte += 64) {
          Columns::Prefetch(begin + offsets[i] + ahead + byte);
        }
      }
    }
    MultiplyBlock<Spec, R>(begin + at, offsets, x, sums);
    for (int r = 0; r < R; ++r) x[r] += kBlockRounded;
  }
  for (int r = 0; r < rows; ++r) {
    sums[r].StoreFirst(all.out + static_cast<size_t>(row + r) * all.out_stride + column, lanes);
  }
}

template <typename Spec>
void MultiplyFewRows(const RoundedOperands& all) {
  for (int column = 0; column < all.n_cols; column += Columns::kLanes) {
    if (all.n_rows == 1) {
      MultiplyFewColumns<Spec, 1>(all, 0, column);
    } else {
      MultiplyFewColumns<Spec, kFewRows>(all, 0, column);
    }
  }
}

}  // namespace
}  // namespace moescope::engine
