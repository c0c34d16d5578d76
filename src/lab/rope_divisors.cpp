#include "lab/rope_divisors.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/rope.h"

namespace moescope::lab {
namespace {

using files::ModelConfig;
using files::RopeScaling;

// Tools compute divisors in float32, from frequencies that are float32, too.
constexpr double kTolerance = 2e-5;

bool Agree(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return std::abs(x - y) <= kTolerance * std::abs(y); });
}

}  // namespace

std::vector<float> RopeDivisors(const ModelConfig& config) {
  ModelConfig plain = config;
  plain.rope_scaling = {};
  const std::vector<double> unscaled = engine::RopeFrequencies(plain, {});
  const std::vector<double> scaled = engine::RopeFrequencies(config, {});
  std::vector<float> divisors;
  for (size_t pair = 0; pair < scaled.size(); ++pair) {
    divisors.push_back(static_cast<float>(unscaled[pair] / scaled[pair]));
  }
  return divisors;
}

std::optional<RopeScaling> ScalingOfDivisors(const ModelConfig& config,
                                             std::span<const float> divisors) {
  const float largest = *std::max_element(divisors.begin(), divisors.end());
  if (largest == 1 && *std::min_element(divisors.begin(), divisors.end()) == 1) {
    return RopeScaling{};
  }
  ModelConfig candidate = config;
  // 8,192 is the context of the published models.
  for (int context : {8192, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16'384, 32'768, 65'536,
                      131'072, 262'144, 524'288, 1'048'576}) {
    for (double factor : {static_cast<double>(largest), 2.0, 4.0, 8.0, 16.0, 32.0, 64.0}) {
      candidate.rope_scaling = {.kind = RopeScaling::Kind::kLlama3,
                                .factor = factor,
                                .original_context = static_cast<double>(context)};
      if (Agree(RopeDivisors(candidate), divisors)) return candidate.rope_scaling;
    }
  }
  return std::nullopt;
}

}  // namespace moescope::lab
