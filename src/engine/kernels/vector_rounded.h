// Products of rounded activations with quantised weights, at every level that has Columns. Included
// by a level's rounded.cpp after its vectors, under the rules of vector_kernels.h.
//
// Weights of up to kGroups registers of columns and kChunk values of k are unpacked once and
// turned, so that a lane of 32 bits holds four codes of one column; a row of activations then meets
// each register with four of its codes, repeated in all lanes. A lane's sum over a part is the
// whole number that numerics.md defines, so every level and every cut has the same bits, and few
// rows go the same way as many.
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

#include "base/tensor/block_codes.h"
#include "base/tensor/dtype.h"
#include "base/tensor/quant_blocks.h"
#include "engine/kernels/rounded_block.h"
#include "engine/kernels/vector_take_apart.h"

namespace moescope::engine {
namespace {

// Values of k unpacked at a time: 256 rows of activations of it (352 KB) stay in a second-level
// cache beside the weights of a group, which stay in the first.
constexpr int kChunk = 1024;
constexpr int kChunkBlocks = kChunk / kRoundedValues;

// How a type is multiplied.
template <DType kType, typename StoredBlock>
struct RoundedSpec {
  using Block = StoredBlock;
  static constexpr CodeInfo kInfo = CodesOf(kType);
  static constexpr int kBlockValues = Info(kType).block_elements;
  static constexpr bool kWide = kLevelWidensBytes && kInfo.largest > 127;
  // Added to codes so that they are unsigned bytes; widened ones keep their sign.
  static constexpr int kZero = kWide ? 0 : kInfo.zero;
  static constexpr int kLargest = kInfo.largest;
  static constexpr int kParts = kRoundedValues / kInfo.part;
  static constexpr int kPartVectors = kInfo.part / 4;  // registers of codes a part
};

// The weights of 32 values of k, for kGroups registers of columns.
template <typename Spec>
struct PackedWeights {
  static constexpr int kVectors = (Spec::kWide ? 2 : 1) * kRoundedValues / 4;
  Columns codes[kVectors][kGroups];
  Vec steps[Spec::kParts][kGroups];
  Vec offsets[Spec::kInfo.has_offset ? Spec::kParts : 1][kGroups];
};

// Sixteen bytes of each column: lane c of register i holds bytes 4 i to 4 i + 3 of column c.
struct Turned {
  Columns v[4];

  static MOESCOPE_INLINE Turned Set(int value) {
    const Columns all = Columns::Set(value);
    return {{all, all, all, all}};
  }
  // The same sixteen in each quarter of a register, for Lookup alone.
  static MOESCOPE_INLINE Turned LoadTable(const void* p) {
    const Columns all = Columns::Repeat16(p);
    return {{all, all, all, all}};
  }
};
template <typename F>
MOESCOPE_INLINE Turned OfEach(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
MOESCOPE_INLINE Turned operator&(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] & b.v[i]; });
}
MOESCOPE_INLINE Turned operator|(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] | b.v[i]; });
}
MOESCOPE_INLINE Turned operator-(Turned a, Turned b) {
  return OfEach([&](int i) { return a.v[i] - b.v[i]; });
}
template <int N>
MOESCOPE_INLINE Turned ShiftRight(Turned a) {
  return OfEach([&](int i) { return a.v[i] >> N; });
}
template <int N>
MOESCOPE_INLINE Turned ShiftLeft(Turned a) {
  return OfEach([&](int i) { return a.v[i] << N; });
}
MOESCOPE_INLINE Turned HasBit(Turned a, Turned mask) {
  return OfEach([&](int i) { return HasBit(a.v[i], mask.v[i]); });
}
MOESCOPE_INLINE Turned Lookup(Turned table, Turned indices) {
  return OfEach([&](int i) { return Lookup(table.v[i], indices.v[i]); });
}

// One block of every column, taken apart at once (vector_take_apart.h): pointers are into the first
// column's block, the others lie `offsets` bytes further on.
template <typename Spec>
struct TurnedPlace {
  using Word = Columns;
  PackedWeights<Spec>* to;
  int group;
  const size_t* offsets;  // [Columns::kLanes]
  int value = 0;

  MOESCOPE_INLINE TurnedPlace operator+(int n) const { return {to, group, offsets, value + n}; }
  MOESCOPE_INLINE void Put(Turned codes, Vec step) const {
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
  MOESCOPE_INLINE void Put(Turned codes, Vec step, Vec offset) const {
    Put(codes, step);
    to[value / kRoundedValues].offsets[value % kRoundedValues / Spec::kInfo.part][group] = offset;
  }

  MOESCOPE_INLINE Turned Load(const void* p) const {
    Turned turned;
    Columns::TransposeCodes(static_cast<const uint8_t*>(p), offsets, turned.v);
    return turned;
  }
  MOESCOPE_INLINE Turned FifthBits(const uint8_t* high_bits, int half) const {
    const Columns words = Columns::GatherWords(high_bits, offsets);
    return OfEach([&](int i) {
      // Byte b of a lane wants bit 16 half + 4 i + b of its word.
      const int byte = 2 * half + i / 2;
      return HasBit(words.RepeatByte(byte), Columns::SetWord(0x08040201u << (i % 2 * 4))) &
             Columns::Set(16);
    });
  }
  // Four bytes before p are read as well: they belong to the block in all types that have words.
  MOESCOPE_INLINE void Words(const uint8_t* p, Word (&words)[3]) const {
    const Turned all = Load(p - 4);
    for (int i = 0; i < 3; ++i) words[i] = all.v[i + 1];
  }
  MOESCOPE_INLINE Turned FromWords(const Word (&words)[4]) const {
    return OfEach([&](int i) { return words[i]; });
  }
  MOESCOPE_INLINE Vec Scale(const StoredHalf& half) const {
    return Columns::GatherHalves(reinterpret_cast<const uint8_t*>(&half), offsets);
  }
  template <typename Block, typename F>
  MOESCOPE_INLINE Vec Each(const Block& block, F f) const {
    alignas(64) float values[Columns::kLanes];
    for (int i = 0; i < Columns::kLanes; ++i) {
      values[i] =
          f(*reinterpret_cast<const Block*>(reinterpret_cast<const uint8_t*>(&block) + offsets[i]));
    }
    return Vec::Load(values);
  }
  struct PartScales {
    Turned parts;
    Vec scale;
    MOESCOPE_INLINE Vec operator[](int part) const {
      return scale * parts.v[part / 4].SignedByte(part % 4).ToFloat();
    }
  };
  MOESCOPE_INLINE PartScales Parts(Turned parts, Vec scale) const { return {parts, scale}; }
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
            TurnedPlace<Spec>{out, group, offsets});
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

struct RoundedOperands {
  const RoundedBlock* x;
  const std::byte* w;
  size_t w_stride;
  float* out;
  size_t out_stride;
  int n_rows, n_cols, k;
};

constexpr int kColumnsAtOnce = kGroups * Columns::kLanes;
// Up to so many rows the weights are what is read most: in the order of memory, then. Either order
// has the same sums.
constexpr int kFewRows = 32;

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
  alignas(64) PackedWeights<Spec> packed[kChunkBlocks];
  if (all.n_rows <= kFewRows) {
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
