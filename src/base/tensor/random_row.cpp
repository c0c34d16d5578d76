#include "base/tensor/random_row.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/tensor/convert_rows.h"

namespace moescope {

std::vector<std::byte> RandomRow(DType dtype, uint64_t n, uint32_t seed) {
  const auto block_bytes = static_cast<size_t>(Info(dtype).block_bytes);
  std::mt19937 random(seed);
  std::vector<std::byte> row(RowBytes(dtype, n).value());
  std::vector<float> values(static_cast<size_t>(Info(dtype).block_elements));
  auto finite = [](float value) { return std::isfinite(value); };
  for (size_t begin = 0; begin < row.size(); begin += block_bytes) {
    do {
      for (size_t i = 0; i < block_bytes; ++i) {
        row[begin + i] = static_cast<std::byte>(random() & 255);
      }
      DequantiseRow(dtype, row.data() + begin, values);
    } while (!std::all_of(values.begin(), values.end(), finite));
  }
  return row;
}

}  // namespace moescope
