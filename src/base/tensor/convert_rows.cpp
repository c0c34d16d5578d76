#include "base/tensor/convert_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/tensor/quant_blocks.h"

namespace moescope {
namespace {

uint16_t LoadHalf(const std::byte* row, size_t i) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * i, 2);
  return bits;
}

void DequantiseQ8_0(const std::byte* row, std::span<float> out) {
  for (size_t first = 0; first < out.size(); first += kQ8_0Elements, row += sizeof(BlockQ8_0)) {
    BlockQ8_0 block;
    std::memcpy(&block, row, sizeof(block));
    float scale = F16ToF32(block.scale);
    for (size_t i = 0; i < kQ8_0Elements; ++i) out[first + i] = scale * block.values[i];
  }
}

void QuantiseQ8_0(std::span<const float> in, std::byte* row) {
  for (size_t first = 0; first < in.size(); first += kQ8_0Elements, row += sizeof(BlockQ8_0)) {
    std::span<const float> values = in.subspan(first, kQ8_0Elements);
    float largest = 0;
    for (float value : values) largest = std::max(largest, std::fabs(value));
    float scale = largest / 127;
    float inverse = scale != 0 ? 1 / scale : 0;
    BlockQ8_0 block;
    block.scale = F32ToF16(scale);
    for (size_t i = 0; i < kQ8_0Elements; ++i) {
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
    case DType::kQ8_0:
      DequantiseQ8_0(row, out);
      return;
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
  }
}

}  // namespace moescope
