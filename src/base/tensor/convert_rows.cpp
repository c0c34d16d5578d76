#include "base/tensor/convert_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/tensor/dequantise_blocks.h"
#include "base/tensor/quant_blocks.h"

namespace moescope {
namespace {

uint16_t LoadHalf(const std::byte* row, size_t i) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * i, 2);
  return bits;
}

void QuantiseQ8_0(std::span<const float> in, std::byte* row) {
  constexpr size_t kElements = Info(DType::kQ8_0).block_elements;
  for (size_t first = 0; first < in.size(); first += kElements, row += sizeof(BlockQ8_0)) {
    std::span<const float> values = in.subspan(first, kElements);
    float largest = 0;
    for (float value : values) largest = std::max(largest, std::fabs(value));
    float scale = largest / 127;
    float inverse = scale != 0 ? 1 / scale : 0;
    BlockQ8_0 block;
    const uint16_t scale_bits = F32ToF16(scale);
    std::memcpy(&block.scale, &scale_bits, sizeof(scale_bits));
    for (size_t i = 0; i < kElements; ++i) {
      block.values[i] = static_cast<int8_t>(std::round(values[i] * inverse));
    }
    std::memcpy(row, &block, sizeof(block));
  }
}

}  // namespace

void DequantiseRow(DType dtype, const std::byte* row, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out.data(), row, out.size_bytes());
      return;
    case DType::kF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = F16ToF32(LoadHalf(row, i));
      return;
    case DType::kBF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = BF16ToF32(LoadHalf(row, i));
      return;
    default:
      return DequantiseBlocks(dtype, row, out);
  }
}

void QuantiseRow(DType dtype, std::span<const float> in, std::byte* row) {
  auto store_half = [row](size_t i, uint16_t bits) { std::memcpy(row + 2 * i, &bits, 2); };
  switch (dtype) {
    case DType::kF32:
      std::memcpy(row, in.data(), in.size_bytes());
      return;
    case DType::kF16:
      for (size_t i = 0; i < in.size(); ++i) store_half(i, F32ToF16(in[i]));
      return;
    case DType::kBF16:
      for (size_t i = 0; i < in.size(); ++i) store_half(i, F32ToBF16(in[i]));
      return;
    case DType::kQ8_0:
      QuantiseQ8_0(in, row);
      return;
    default:
      MOESCOPE_CHECK(IsWritable(dtype));
  }
}

}  // namespace moescope
