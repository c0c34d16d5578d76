#include "engine/ops/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace moescope::engine {

namespace {

using files::RopeScaling;

// Low frequencies, which turn less than `low` times in the old context, are divided by the factor,
// those above `high` stay, and between they are blended.
double Llama3(double frequency, const RopeScaling& scaling) {
  const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
  if (turns < scaling.low_frequency_factor) return frequency / scaling.factor;
  if (turns > scaling.high_frequency_factor) return frequency;
  const double smooth = (turns - scaling.low_frequency_factor) /
                        (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

// Pairs between those that turn beta_fast and beta_slow times in the old context are blended.
void Yarn(const files::ModelConfig& config, std::vector<double>& frequencies) {
  const RopeScaling& scaling = config.rope_scaling;
  auto pair_that_turns = [&](double turns) {
    return config.head_dim * std::log(scaling.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(config.rope_theta));
  };
  double low = pair_that_turns(scaling.beta_fast), high = pair_that_turns(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, config.head_dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    frequencies[pair] *= ramp / scaling.factor + (1 - ramp);
  }
}

}  // namespace

std::vector<double> RopeFrequencies(const files::ModelConfig& config,
                                    std::span<const float> factors) {
  std::vector<double> frequencies(static_cast<size_t>(config.head_dim / 2));
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    frequencies[pair] =
        std::pow(config.rope_theta, -2.0 * static_cast<double>(pair) / config.head_dim);
  }
  const RopeScaling& scaling = config.rope_scaling;
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      break;
    case RopeScaling::Kind::kLinear:
      for (double& frequency : frequencies) frequency /= scaling.factor;
      break;
    case RopeScaling::Kind::kLlama3:
      for (double& frequency : frequencies) frequency = Llama3(frequency, scaling);
      break;
    case RopeScaling::Kind::kYarn:
      Yarn(config, frequencies);
      break;
    case RopeScaling::Kind::kFactors:
      MOESCOPE_CHECK(factors.size() == frequencies.size());
      for (size_t pair = 0; pair < frequencies.size(); ++pair) frequencies[pair] /= factors[pair];
      break;
  }
  return frequencies;
}

RopeTable::RopeTable(std::span<const double> frequencies, double attention_factor,
                     int64_t n_positions, files::RopeLayout layout)
    : half_(static_cast<int>(frequencies.size())),
      layout_(layout),
      table_(2 * frequencies.size() * static_cast<uint64_t>(n_positions), "rotary embedding") {
  float* out = table_.data();
  for (int64_t position = 0; position < n_positions; ++position, out += 2 * half_) {
    for (int pair = 0; pair < half_; ++pair) {
      double angle = static_cast<double>(position) * frequencies[static_cast<size_t>(pair)];
      out[pair] = static_cast<float>(std::cos(angle) * attention_factor);
      out[half_ + pair] = static_cast<float>(std::sin(angle) * attention_factor);
    }
  }
}

void RopeTable::Apply(float* heads, int n_heads, int64_t position) const {
  const float* cosine = table_.data() + static_cast<size_t>(position) * 2 * half_;
  const float* sine = cosine + half_;
  for (int head = 0; head < n_heads; ++head, heads += 2 * half_) {
    if (layout_ == files::RopeLayout::kHalves) {
      for (int pair = 0; pair < half_; ++pair) {
        float a = heads[pair], b = heads[pair + half_];
        heads[pair] = a * cosine[pair] - b * sine[pair];
        heads[pair + half_] = b * cosine[pair] + a * sine[pair];
      }
    } else {
      for (int pair = 0; pair < half_; ++pair) {
        float a = heads[2 * pair], b = heads[2 * pair + 1];
        heads[2 * pair] = a * cosine[pair] - b * sine[pair];
        heads[2 * pair + 1] = b * cosine[pair] + a * sine[pair];
      }
    }
  }
}

}  // namespace moescope::engine
