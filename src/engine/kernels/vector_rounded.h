// Products of rounded activations with quantised weights, at every level that has Columns. Included
// by a level's rounded.cpp after its vectors, under the rules of vector_kernels.h.
//
// Weights of up to kGroups registers of columns and kChunk values of k are unpacked once and
// turned, so that a lane of 32 bits holds four codes of one column; a row of activations then meets
// each register with four of its codes, repeated in all lanes. A lane's sum over a part is the
// whole number that numerics.md defines, so every level and every cut has the same bits.
//
// Columns, a register of whole numbers, offers: kLanes, Set(byte), SetWord(bits), Repeat16(p),
// FromFourCodes(p) (four bytes repeated), TransposeCodes, GatherWords and GatherHalves(p, offsets,
// ...) (sixteen bytes, four, a binary16 of each lane's column), RepeatByte(i) and SignedByte(i) (of
// each lane), ToFloat, Prefetch(p), & | - of bytes, << >> whose bits move between bytes, HasBit,
// Lookup. A level's SumPart adds up a part, and kLevelWidensBytes says whether it takes weights of
// 8 bits as pairs of 16. kRoundedRows x kGroups sums fit in registers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"
#include "engine/kernels/rounded_block.h"
#include "engine/kernels/vector_rounded_few.h"
#include "engine/kernels/vector_turned.h"

namespace moescope::engine {
namespace {

// Values of k unpacked at a time: 256 rows of activations of it (352 KB) stay in a second-level
// cache beside the weights of a group, which stay in the first.
constexpr int kChunk = 1024;
constexpr int kChunkBlocks = kChunk / kRoundedValues;

// The weights of 32 values of k, for kGroups registers of columns.
template <typename Spec>
struct PackedWeights {
  static constexpr int kVectors = (Spec::kWide ? 2 : 1) * kRoundedValues / 4;
  Columns codes[kVectors][kGroups];
  Vec steps[Spec::kParts][kGroups];
  Vec offsets[Spec::kInfo.has_offset ? Spec::kParts : 1][kGroups];
};

// Stores codes where the products of many rows find them.
template <typename Spec>
struct PackSink {
  PackedWeights<Spec>* to;
  int group;

  MOESCOPE_INLINE void Put(int value, Turned codes, Vec step) const {
    PackedWeights<Spec>& block = to[value / kRoundedValues];
    const int first = value % kRoundedValues / 4;
    for (int i = 0; i < 4; ++i) {
      if constexpr (Spec::kWide) {
        WidenCodes(codes.v[i], block.codes[2 * (first + i)][group],
                   block.codes[2 * (first + i) + 1][group]);
      } else {
        block.codes[first + i][group] = codes.v[i] - Columns::Set(-Spec::kZero);
      }
    }
    block.steps[value % kRoundedValues / Spec::kInfo.part][group] = step;
  }
  MOESCOPE_INLINE void Put(int value, Turned codes, Vec step, Vec offset) const {
    Put(value, codes, step);
    to[value / kRoundedValues].offsets[value % kRoundedValues / Spec::kInfo.part][group] = offset;
  }
};

// One block of each column of a group; `ahead`: bytes to the columns that follow all groups.
template <typename Spec>
MOESCOPE_INLINE void PackBlock(const std::byte* w, const size_t* offsets, size_t ahead, int group,
                               PackedWeights<Spec>* out) {
  for (int column = 0; column < Columns::kLanes; ++column) {
    // The same block of the next columns, which follow in memory.
    for (int byte = 0; byte < static_cast<int>(sizeof(typename Spec::Block)); byte += 64) {
      Columns::Prefetch(w + offsets[column] + ahead + byte);
    }
  }
  TakeApart(*reinterpret_cast<const typename Spec::Block*>(w),
            TurnedPlace<PackSink<Spec>>{{out, group}, offsets});
}

struct RoundedProduct {
  const RoundedBlock* x;  // at the chunk's first block
  size_t x_stride;        // in blocks
  float* out;
  size_t out_stride;
  int n_rows, n_columns, n_blocks;
  bool add;
};

// R rows x kGroups registers of columns over the chunk.
template <typename Spec, int R>
__attribute__((noinline)) void MultiplyRoundedTile(const RoundedProduct& product, int row,
                                                   const PackedWeights<Spec>* w) {
  const RoundedBlock* x = product.x + static_cast<size_t>(row) * product.x_stride;
  const size_t x_stride = product.x_stride;
  int lanes[kGroups];
  for (int c = 0; c < kGroups; ++c) {
    const int left = product.n_columns - c * Columns::kLanes;
    lanes[c] = left < 0 ? 0 : left < Columns::kLanes ? left : Columns::kLanes;
  }
  float* out = product.out + static_cast<size_t>(row) * product.out_stride;
  Vec sums[R][kGroups];
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < kGroups; ++c) {
      sums[r][c] = !product.add ? Vec::Zero()
                                : Vec::LoadFirst(out + r * product.out_stride + c * Columns::kLanes,
                                                 lanes[c]);
    }
  }
  WideRows<Spec, R> wide;
  wide.Widen(x, x_stride, product.n_blocks);
  for (int block = 0; block < product.n_blocks; ++block, ++x, ++w) {
    for (int part = 0; part < Spec::kParts; ++part) {
      Columns whole[R][kGroups];
      SumPart<Spec, R>(x, x_stride, wide, block, part, *w, whole);
      for (int r = 0; r < R; ++r) {
        const RoundedBlock& row_block = x[static_cast<size_t>(r) * x_stride];
        const Vec scale = Vec::Set(row_block.scale);
        for (int c = 0; c < kGroups; ++c) {
          sums[r][c] = Fma(whole[r][c].ToFloat(), w->steps[part][c] * scale, sums[r][c]);
        }
        if constexpr (Spec::kInfo.has_offset) {
          const Vec scaled = Spec::kParts == 1
                                 ? Vec::Set(row_block.scaled_sum)
                                 : scale * Vec::Set(static_cast<float>(row_block.sums[part]));
          for (int c = 0; c < kGroups; ++c) {
            sums[r][c] = Fma(scaled, w->offsets[part][c], sums[r][c]);
          }
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < kGroups; ++c) {
      sums[r][c].StoreFirst(out + r * product.out_stride + c * Columns::kLanes, lanes[c]);
    }
  }
}

template <typename Spec, int R>
MOESCOPE_INLINE void MultiplyRoundedRows(const RoundedProduct& product,
                                         const PackedWeights<Spec>* w) {
  int row = 0;
  for (; row + R <= product.n_rows; row += R) MultiplyRoundedTile<Spec, R>(product, row, w);
  if constexpr (R > 1) {
    RoundedProduct rest = product;
    rest.x += static_cast<size_t>(row) * product.x_stride;
    rest.out += static_cast<size_t>(row) * product.out_stride;
    rest.n_rows -= row;
    if (rest.n_rows > 0) MultiplyRoundedRows<Spec, R / 2>(rest, w);
  }
}

constexpr int kColumnsAtOnce = kGroups * Columns::kLanes;
// The columns from `column` on that fit in the registers of a group, over one chunk of k.
template <typename Spec>
__attribute__((noinline)) void MultiplyRoundedPiece(const RoundedOperands& all, int begin,
                                                    int column, PackedWeights<Spec>* packed) {
  constexpr size_t kBlockBytes = sizeof(typename Spec::Block);
  const int n = all.k - begin < kChunk ? all.k - begin : kChunk;
  const int left = all.n_cols - column;
  const std::byte* chunk = all.w + static_cast<size_t>(begin / Spec::kBlockValues) * kBlockBytes;
  for (int group = 0; group < kGroups; ++group) {
    const int wanted = column + group * Columns::kLanes;
    const int first = wanted < all.n_cols ? wanted : all.n_cols - 1;
    size_t offsets[Columns::kLanes];  // columns beyond the last repeat it
    for (int i = 0; i < Columns::kLanes; ++i) {
      const int from = first + i < all.n_cols ? i : all.n_cols - 1 - first;
      offsets[i] = all.w_stride * static_cast<size_t>(from);
    }
    const std::byte* block = chunk + static_cast<size_t>(first) * all.w_stride;
    for (int value = 0; value < n; value += Spec::kBlockValues) {
      PackBlock<Spec>(block, offsets, kColumnsAtOnce * all.w_stride, group,
                      packed + value / kRoundedValues);
      block += kBlockBytes;
    }
  }
  MultiplyRoundedRows<Spec, kRoundedRows>(
      {.x = all.x + begin / kRoundedValues,
       .x_stride = static_cast<size_t>(all.k / kRoundedValues),
       .out = all.out + column,
       .out_stride = all.out_stride,
       .n_rows = all.n_rows,
       .n_columns = left < kColumnsAtOnce ? left : kColumnsAtOnce,
       .n_blocks = n / kRoundedValues,
       .add = begin > 0},
      packed);
}

template <typename Spec>
void MultiplyRoundedAs(const RoundedOperands& all) {
  if (all.n_rows <= kFewRows) return MultiplyFewRows<Spec>(all);
  alignas(64) PackedWeights<Spec> packed[kChunkBlocks];
  // Up to so many rows the weights are what is read most: in the order of memory, then. Either
  // order has the same sums.
  constexpr int kReadOnce = 32;
  if (all.n_rows <= kReadOnce) {
    for (int column = 0; column < all.n_cols; column += kColumnsAtOnce) {
      for (int begin = 0; begin < all.k; begin += kChunk) {
        MultiplyRoundedPiece(all, begin, column, packed);
      }
    }
    return;
  }
  for (int begin = 0; begin < all.k; begin += kChunk) {
    for (int column = 0; column < all.n_cols; column += kColumnsAtOnce) {
      MultiplyRoundedPiece(all, begin, column, packed);
    }
  }
}

void MultiplyRounded(DType dtype, const RoundedBlock* x, const void* w, size_t w_stride, float* out,
                     size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  const RoundedOperands all = {
      x, static_cast<const std::byte*>(w), w_stride, out, out_stride, n_rows, n_cols, k};
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;  // no codes
#define MOESCOPE_CASE(type, ...) \
  case DType::k##type:           \
    return MultiplyRoundedAs<RoundedSpec<DType::k##type, Block##type>>(all);
      MOESCOPE_QUANT_TYPES(MOESCOPE_CASE)
#undef MOESCOPE_CASE
  }
}

}  // namespace
}  // namespace moescope::engine
