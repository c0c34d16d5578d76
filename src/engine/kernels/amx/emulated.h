// Tiles in plain loops, and the conversion that SIMDe lacks, for tests. Included instead of
// tiles.h. What the instructions do is Intel's description (SDM vol. 2, TDPBF16PS and
// VCVTNEPS2BF16), to the bit as far as it says: docs/numerics.md.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/tensor/dtype.h"
#include "engine/kernels/avx512/emulated.h"

namespace moescope::engine {
namespace {

// Rounds the exact value `sum` to float32: nearest, ties to even, results below the smallest normal
// flushed to zero. A double holds products of bfloat16 exactly; where it cannot hold their sum with
// a float exactly, the rest is far below half a step of float32, so rounding twice is rounding
// once.
float RoundFlushed(double sum) {
  constexpr double kTiny = 0x1p-126 * (1 - 0x1p-25);  // from here on it rounds to a normal number
  const auto rounded = static_cast<float>(sum);
  return std::fabs(sum) < kTiny ? std::copysign(0.0f, rounded) : rounded;
}

uint16_t FlushedBFloat(uint32_t bits) {
  if ((bits & 0x7f800000) == 0) return static_cast<uint16_t>(bits >> 16 & 0x8000);
  return F32ToBF16(std::bit_cast<float>(bits));
}

__m256i EmulatedToBFloat(__m512 v) {
  uint32_t bits[16];
  uint16_t rounded[16];
  std::memcpy(bits, &v, sizeof(bits));
  for (int i = 0; i < 16; ++i) rounded[i] = FlushedBFloat(bits[i]);
  return FromLanes<__m256i>(rounded);
}

// Stored exponents of the values of a tile that are not zero.
struct Exponents {
  int least = 255, most = 0;
};

class Tiles {
 public:
  template <int T>
  void Zero() {
    std::memset(&tiles_[T], 0, sizeof(Tile));
  }
  template <int T>
  void Load(const void* from) {
    std::memcpy(&tiles_[T], from, sizeof(Tile));
  }
  template <int T>
  void Store(void* to) {
    std::memcpy(to, &tiles_[T], sizeof(Tile));
  }
  // Of each element first values of even and of odd k are summed, each a chain of fused
  // multiply-adds from 0; then both, and their sum is added.
  template <int Sum, int A, int B>
  void MultiplyAdd() {
    Values a, b;
    const Exponents of_a = Take(tiles_[A], a), of_b = Take(tiles_[B], b);
    // Products are multiples of 2^(exponents - 14) and below 2^(exponents + 2). Where neither they
    // nor sums of 16 can leave the normal numbers, a product is exact in float32 and fusing changes
    // nothing: ten times as fast.
    constexpr int kBias = 127;
    const bool plain = of_a.least + of_b.least - 2 * kBias - 14 >= -126 &&
                       of_a.most + of_b.most - 2 * kBias + 2 + 4 < kBias;
    for (int m = 0; m < 16; ++m) {
      float chains[2][16] = {};
      for (int i = 0; i < 16; ++i) {
        for (int odd : {0, 1}) {
          const float left = a.v[odd][m][i];
          if (plain) {
            for (int n = 0; n < 16; ++n) chains[odd][n] += left * b.v[odd][i][n];
          } else {
            for (int n = 0; n < 16; ++n) {
              chains[odd][n] = RoundFlushed(double{left} * b.v[odd][i][n] + chains[odd][n]);
            }
          }
        }
      }
      for (int n = 0; n < 16; ++n) {
        const float both = RoundFlushed(double{chains[0][n]} + chains[1][n]);
        float& sum = tiles_[Sum].floats[m][n];
        sum = RoundFlushed(double{sum} + both);
      }
    }
  }

 private:
  struct Tile {
    float floats[16][16];
  };
  // v[0]: the first values of the pairs of a tile, v[1]: the second ones; subnormals are taken for
  // zeros.
  struct Values {
    float v[2][16][16];
  };
  static Exponents Take(const Tile& tile, Values& values) {
    Exponents exponents;
    for (int row = 0; row < 16; ++row) {
      uint32_t pairs[16];
      std::memcpy(pairs, tile.floats[row], sizeof(pairs));
      for (int i = 0; i < 16; ++i) {
        for (int odd : {0, 1}) {
          const uint32_t bits = odd == 0 ? pairs[i] << 16 : pairs[i] & 0xffff0000;
          const int exponent = bits >> 23 & 255;
          values.v[odd][row][i] = std::bit_cast<float>(exponent == 0 ? bits & 0x80000000 : bits);
          exponents.least = std::min(exponents.least, exponent == 0 ? 255 : exponent);
          exponents.most = std::max(exponents.most, exponent);
        }
      }
    }
    return exponents;
  }
  Tile tiles_[8];
};

}  // namespace
}  // namespace moescope::engine

#define _mm512_cvtneps_pbh(v) EmulatedToBFloat(v)
