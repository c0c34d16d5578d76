// The eight tile registers of this thread, each 16 rows of 64 bytes. Included only by this folder's
// kernels.cpp.
//
// Instructions are written out, with the memory they touch as operands: GCC 12 declares
// _tile_loadconfig as reading 8 bytes and _tile_loadd as reading nothing, so it may drop or move
// the stores that fill what they load.
#pragma once

#include <cstdint>

namespace moescope::engine {
namespace {

// What LDTILECFG loads. Intel SDM vol. 1, 18.3: palette 1 has eight tiles of up to 16 rows of 64
// bytes.
struct TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// Configured while it lives, then released: tiles left in use would make every switch of threads
// save 8 KB, and keep the processor from its deeper idle states.
class Tiles {
 public:
  struct Memory {
    uint8_t bytes[1024];
  };

  Tiles() {
    static constexpr TileConfig kAllWhole;
    asm volatile("ldtilecfg %0" : : "m"(kAllWhole));
  }
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int T>
  void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  // 1,024 bytes, row after row.
  template <int T>
  void Load(const void* from) {
    const auto* memory = static_cast<const Memory*>(from);
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
                 :
                 : "r"(from), "r"(kRowBytes), "i"(T), "m"(*memory));
  }
  template <int T>
  void Store(void* to) {
    auto* memory = static_cast<Memory*>(to);
    asm volatile("tilestored %%tmm%c3, (%1,%2,1)"
                 : "=m"(*memory)
                 : "r"(to), "r"(kRowBytes), "i"(T));
  }
  // Element (m, n) of Sum: + the dot product of row m of A and column n of B, which has its values
  // of k in pairs.
  template <int Sum, int A, int B>
  void MultiplyAdd() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
  }

 private:
  static constexpr int64_t kRowBytes = 64;
};

}  // namespace
}  // namespace moescope::engine
