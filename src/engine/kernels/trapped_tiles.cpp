#include "engine/kernels/trapped_tiles.h"

#include "base/platform/cpu.h"
#include "engine/kernels/amx/kernels.h"

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

#include <cmath>
#include <cstring>

#include "base/tensor/dtype.h"
#endif

namespace moescope::engine {
#if defined(__x86_64__)
namespace {

struct Tile {
  uint8_t rows[16][64];
};
thread_local Tile tiles[8];
thread_local bool configured = false;

float Flushed(float value) {
  return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value;
}
template <typename T>
T At(const Tile& tile, int row, int index) {
  T value;
  std::memcpy(&value, tile.rows[row] + sizeof(T) * static_cast<size_t>(index), sizeof(T));
  return value;
}

// Intel SDM vol. 2, TDPBF16PS.
void MultiplyAdd(Tile& sums, const Tile& a, const Tile& b) {
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      float chains[2] = {};
      for (int k = 0; k < 16; ++k) {
        for (int odd : {0, 1}) {
          const float left = Flushed(BF16ToF32(At<uint16_t>(a, m, 2 * k + odd)));
          const float right = Flushed(BF16ToF32(At<uint16_t>(b, k, 2 * n + odd)));
          chains[odd] = Flushed(std::fma(left, right, chains[odd]));
        }
      }
      const float sum = Flushed(At<float>(sums, m, n) + Flushed(chains[0] + chains[1]));
      std::memcpy(sums.rows[m] + 4 * n, &sum, sizeof(sum));
    }
  }
}

// Palette 1, eight whole tiles: the only configuration that the level loads.
bool IsWholeTiles(const uint8_t* config) {
  uint8_t expected[64] = {1};
  for (int tile = 0; tile < 8; ++tile) expected[16 + 2 * tile] = 64, expected[48 + tile] = 16;
  return std::memcmp(config, expected, 48) == 0 && std::memcmp(config + 48, expected + 48, 8) == 0;
}

// What follows an instruction's opcode: ModRM and, if that says so, SIB and displacement.
struct Operand {
  bool is_register = false;
  int reg = 0, rm = 0;
  uint8_t* base = nullptr;  // address without the index
  int64_t index = 0;        // its value times scale: the distance of rows
  const uint8_t* end = nullptr;
};

Operand Decode(const uint8_t* at, uint8_t inverted_bits, const greg_t* registers) {
  constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
  Operand operand;
  const int mod = *at >> 6, rm = *at & 7;
  operand.reg = *at >> 3 & 7;
  operand.rm = rm;
  operand.is_register = mod == 3;
  ++at;
  int64_t address = 0;
  int displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  bool relative = false;
  const int high_base = (inverted_bits & 0x20) == 0 ? 8 : 0;
  const int high_index = (inverted_bits & 0x40) == 0 ? 8 : 0;
  if (!operand.is_register) {
    int base = rm;
    if (rm == 4) {
      const int index = (*at >> 3 & 7) + high_index;
      if (index != 4) operand.index = registers[kRegisters[index]] << (*at >> 6);
      base = *at & 7;
      ++at;
    }
    if (mod == 0 && base == 5) {
      displacement_bytes = 4;
      relative = rm == 5;  // to the next instruction
    } else {
      address = registers[kRegisters[base + high_base]];
    }
    if (displacement_bytes == 1) address += static_cast<int8_t>(*at);
    if (displacement_bytes == 4) {
      int32_t displacement;
      std::memcpy(&displacement, at, sizeof(displacement));
      address += displacement;
    }
    at += displacement_bytes;
    if (relative) address += reinterpret_cast<int64_t>(at);
  }
  operand.base = reinterpret_cast<uint8_t*>(address);
  operand.end = at;
  return operand;
}

// Does the instruction at `code` and returns the next one, or null if it is none of tiles.
const uint8_t* Run(const uint8_t* code, const greg_t* registers) {
  // A three-byte VEX prefix of map 0F38, W0, 128 bits.
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x84) != 0) return nullptr;
  enum { kNone = 0, kF3 = 2, kF2 = 3 };
  const int prefix = code[2] & 3, opcode = code[3], third = (~code[2] >> 3) & 15;
  const Operand operand = Decode(code + 4, code[1], registers);
  Tile& tile = tiles[operand.reg];
  if (opcode == 0x49 && prefix == kNone && operand.is_register) {  // TILERELEASE
    configured = false;
  } else if (opcode == 0x49 && prefix == kNone) {  // LDTILECFG
    if (!IsWholeTiles(operand.base + operand.index)) return nullptr;
    configured = true;
    std::memset(tiles, 0, sizeof(tiles));
  } else if (!configured) {
    return nullptr;
  } else if (opcode == 0x49 && prefix == kF2) {  // TILEZERO
    std::memset(&tile, 0, sizeof(tile));
  } else if (opcode == 0x4b && prefix == kF2) {  // TILELOADD
    for (int r = 0; r < 16; ++r) std::memcpy(tile.rows[r], operand.base + r * operand.index, 64);
  } else if (opcode == 0x4b && prefix == kF3) {  // TILESTORED
    for (int r = 0; r < 16; ++r) std::memcpy(operand.base + r * operand.index, tile.rows[r], 64);
  } else if (opcode == 0x5c && prefix == kF3) {  // TDPBF16PS
    MultiplyAdd(tile, tiles[operand.rm], tiles[third]);
  } else {
    return nullptr;
  }
  return operand.end;
}

void OnIllegalInstruction(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const uint8_t* next = Run(reinterpret_cast<const uint8_t*>(registers[REG_RIP]), registers);
  if (next == nullptr) {
    signal(SIGILL, SIG_DFL);  // it will stop here again
    return;
  }
  registers[REG_RIP] = reinterpret_cast<greg_t>(next);
}

}  // namespace

const TileKernels* TrappedAmxKernels() {
  if (DetectCpu().amx_bf16 || !DetectCpu().avx512) return nullptr;
  if (__builtin_cpu_supports("avx512bf16") == 0) return nullptr;
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = OnIllegalInstruction;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGILL, &action, nullptr) == 0;
  }();
  return installed ? AmxKernels() : nullptr;
}
#else
const TileKernels* TrappedAmxKernels() {
  return nullptr;
}
#endif

}  // namespace moescope::engine
