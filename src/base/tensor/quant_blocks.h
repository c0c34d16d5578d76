// Quantised blocks as GGUF stores them. Source: ggml's block layouts (ggml-common.h), GGUF spec.
#pragma once

#include <cstdint>

namespace moescope {

inline constexpr int kQ8_0Elements = 32;

// 32 values: scale (IEEE binary16 bits) times a signed byte each.
struct BlockQ8_0 {
  uint16_t scale;
  int8_t values[kQ8_0Elements];
};
static_assert(sizeof(BlockQ8_0) == 34);

}  // namespace moescope
