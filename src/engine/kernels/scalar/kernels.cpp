#include "engine/kernels/scalar/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/tensor/block_codes.h"
#include "base/tensor/convert_rows.h"

namespace moescope::engine {
namespace {

// One lane, multiply then add: a library call would be needed for a fused one.
float Dot(const float* a, const float* b, int k) {
  float total = 0;
  for (int begin = 0; begin < k; begin += kSumBlock) {
    float sum = 0;
    int end = std::min(begin + kSumBlock, k);
    for (int i = begin; i < end; ++i) sum += a[i] * b[i];
    total += sum;
  }
  return total;
}

void Multiply(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
              size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  for (int row = 0; row < n_rows; ++row) {
    for (int col = 0; col < n_cols; ++col) {
      out[static_cast<size_t>(row) * out_stride + static_cast<size_t>(col)] =
          Dot(x + static_cast<size_t>(row) * x_stride, w + static_cast<size_t>(col) * w_stride, k);
    }
  }
}

void MultiplyColumns(const float* x, size_t x_stride, const float* w, size_t w_stride, float* out,
                     size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  for (int row = 0; row < n_rows; ++row) {
    const float* x_row = x + static_cast<size_t>(row) * x_stride;
    for (int col = 0; col < n_cols; ++col) {
      float total = 0;
      for (int begin = 0; begin < k; begin += kSumBlock) {
        float sum = 0;
        int end = std::min(begin + kSumBlock, k);
        for (int i = begin; i < end; ++i) {
          sum += x_row[i] * w[static_cast<size_t>(i) * w_stride + static_cast<size_t>(col)];
        }
        total += sum;
      }
      out[static_cast<size_t>(row) * out_stride + static_cast<size_t>(col)] = total;
    }
  }
}

void Dequantise(DType dtype, const void* stored, float* out, size_t n) noexcept {
  DequantiseRow(dtype, static_cast<const std::byte*>(stored), std::span(out, n));
}

void RmsNorm(const float* x, const float* weight, float eps, float* out, int n) noexcept {
  float scale = 1 / std::sqrt(Dot(x, x, n) / static_cast<float>(n) + eps);
  for (int i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void LayerNorm(const float* x, const float* weight, const float* bias, float eps, float* out,
               int n) noexcept {
  const float count = static_cast<float>(n);
  auto sum_of = [n](auto term) {
    float total = 0;
    for (int begin = 0; begin < n; begin += kSumBlock) {
      float sum = 0;
      int end = std::min(begin + kSumBlock, n);
      for (int i = begin; i < end; ++i) sum += term(i);
      total += sum;
    }
    return total;
  };
  const float mean = sum_of([&](int i) { return x[i]; }) / count;
  const float variance = sum_of([&](int i) { return (x[i] - mean) * (x[i] - mean); }) / count;
  const float scale = 1 / std::sqrt(variance + eps);
  for (int i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

void SiluMultiply(float* gate, const float* up, size_t n) noexcept {
  for (size_t i = 0; i < n; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void Gelu(float* x, size_t n) noexcept {
  constexpr float kTwiceRootOf2OverPi = 1.5957691216f;
  for (size_t i = 0; i < n; ++i) {
    const float u = kTwiceRootOf2OverPi * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    x[i] = x[i] / (1 + std::exp(-u));
  }
}

void AddScaled(float* out, const float* x, float scale, size_t n) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] += scale * x[i];
}

float SumOfExponentials(const float* scores, int n, float largest) {
  float total = 0;
  for (int begin = 0; begin < n; begin += kSumBlock) {
    float sum = 0;
    int end = std::min(begin + kSumBlock, n);
    for (int i = begin; i < end; ++i) sum += std::exp(scores[i] - largest);
    total += sum;
  }
  return total;
}

void Softmax(float* scores, int n) noexcept {
  float largest = *std::max_element(scores, scores + n);
  float inverse = 1 / SumOfExponentials(scores, n, largest);
  for (int i = 0; i < n; ++i) scores[i] = std::exp(scores[i] - largest) * inverse;
}

float CrossEntropy(const float* logits, int n, int target) noexcept {
  float largest = *std::max_element(logits, logits + n);
  return std::log(SumOfExponentials(logits, n, largest)) + largest - logits[target];
}

void RoundBlock(const float* x, RoundedBlock& out) {
  uint32_t largest = 0;
  for (int i = 0; i < kRoundedValues; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffff);
  }
  const RoundingScale rounding = RoundingScaleOf(largest);
  int sums[2] = {};
  for (int i = 0; i < kRoundedValues; ++i) {
    const int code =
        rounding.inverse == 0 ? 0 : static_cast<int>(std::nearbyint(x[i] * rounding.inverse));
    out.codes[i] = static_cast<int8_t>(code);
    sums[i / 16] += code;
  }
  out.scale = rounding.scale;
  out.scaled_sum = rounding.scale * static_cast<float>(sums[0] + sums[1]);
  for (int half = 0; half < 2; ++half) out.sums[half] = static_cast<int16_t>(sums[half]);
}

void RoundActivations(const float* x, size_t x_stride, RoundedBlock* out, int n_rows,
                      int k) noexcept {
  for (int row = 0; row < n_rows; ++row) {
    for (int i = 0; i < k; i += kRoundedValues) {
      RoundBlock(x + static_cast<size_t>(row) * x_stride + static_cast<size_t>(i), *out++);
    }
  }
}

// sum + x * w over one block of the activations, part after part: the product of a part's whole sum
// and the two scales, then the offset's; each fused.
float AddBlock(float sum, const RoundedBlock& x, const CodeInfo& info, const BlockCodes& w) {
  for (int part = 0; part * info.part < kRoundedValues; ++part) {
    int whole = 0;
    for (int i = part * info.part; i < (part + 1) * info.part; ++i) {
      whole += int{x.codes[i]} * int{w.codes[i]};
    }
    sum = std::fma(static_cast<float>(whole), w.steps[part] * x.scale, sum);
    if (!info.has_offset) continue;
    const float scaled_sum =
        info.part == kRoundedValues ? x.scaled_sum : x.scale * static_cast<float>(x.sums[part]);
    sum = std::fma(scaled_sum, w.offsets[part], sum);
  }
  return sum;
}

void MultiplyRounded(DType dtype, const RoundedBlock* x, const void* w, size_t w_stride, float* out,
                     size_t out_stride, int n_rows, int n_cols, int k) noexcept {
  const CodeInfo info = CodesOf(dtype);
  const auto n_blocks = static_cast<size_t>(k / kRoundedValues);
  const int unit = std::max(Info(dtype).block_elements, kRoundedValues);
  const size_t unit_bytes = static_cast<size_t>(Info(dtype).block_bytes);
  int8_t codes[256];
  float steps[16], offsets[16];
  for (int column = 0; column < n_cols; ++column) {
    const auto* stored = static_cast<const std::byte*>(w) + static_cast<size_t>(column) * w_stride;
    for (int row = 0; row < n_rows; ++row) {
      out[static_cast<size_t>(row) * out_stride + static_cast<size_t>(column)] = 0;
    }
    for (int begin = 0; begin < k; begin += unit, stored += unit_bytes) {
      UnpackBlocks(dtype, stored, static_cast<size_t>(unit), {codes, steps, offsets});
      for (int row = 0; row < n_rows; ++row) {
        float& sum = out[static_cast<size_t>(row) * out_stride + static_cast<size_t>(column)];
        const RoundedBlock* blocks =
            x + static_cast<size_t>(row) * n_blocks + begin / kRoundedValues;
        for (int i = 0; i < unit; i += kRoundedValues) {
          const int part = i / info.part;
          sum = AddBlock(sum, *blocks++, info, {codes + i, steps + part, offsets + part});
        }
      }
    }
  }
}

double BytePeak(DType, int64_t rounds) noexcept {
  constexpr int kValues = 64;
  int8_t a[kValues], b[kValues];
  for (int i = 0; i < kValues; ++i) a[i] = static_cast<int8_t>(i), b[i] = static_cast<int8_t>(-i);
  int total = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    a[round % kValues] = static_cast<int8_t>(round);
    int sum = 0;
    for (int i = 0; i < kValues; ++i) sum += int{a[i]} * int{b[i]};
    total ^= sum;
  }
  volatile int keep = total;
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 2 * kValues;
}

double FmaPeak(int64_t rounds) noexcept {
  float sums[8] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) sum = sum * 0.999f + 0.001f;
  }
  volatile float keep = sums[0] + sums[7];
  static_cast<void>(keep);
  return static_cast<double>(rounds) * 2 * 8;
}

}  // namespace

const KernelTable& ScalarKernels() {
  static const KernelTable table = {
      .level = KernelLevel::kScalar,
      .width = 1,
      .multiply = Multiply,
      .multiply_columns = MultiplyColumns,
      .dequantise = Dequantise,
      .rms_norm = RmsNorm,
      .layer_norm = LayerNorm,
      .silu_multiply = SiluMultiply,
      .gelu = Gelu,
      .add_scaled = AddScaled,
      .softmax = Softmax,
      .cross_entropy = CrossEntropy,
      .fma_peak = FmaPeak,
      .rounded = {.round = RoundActivations, .multiply = MultiplyRounded, .peak = BytePeak},
  };
  return table;
}

}  // namespace moescope::engine
