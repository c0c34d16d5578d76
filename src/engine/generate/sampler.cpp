#include "engine/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_set>

#include "base/error.h"

namespace moescope::engine {
namespace {

int32_t Largest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

void CheckSampling(const SamplingOptions& options) {
  auto check = [](bool good, const char* option, const char* expected, double found) {
    if (good) return;
    throw Error(ErrorKind::kBadInput, std::string(option) + ": expected " + expected + ", found " +
                                          std::to_string(found));
  };
  // Written so that NaN is refused.
  check(options.temperature >= 0 && options.temperature <= 1000, "--temperature",
        "a number from 0 to 1000", options.temperature);
  check(options.top_k >= 0, "--top-k", "0 or more", options.top_k);
  check(options.top_p > 0 && options.top_p <= 1, "--top-p", "a number above 0, at most 1",
        options.top_p);
  check(options.min_p >= 0 && options.min_p <= 1, "--min-p", "a number from 0 to 1", options.min_p);
  check(options.repetition_penalty > 0 && options.repetition_penalty <= 1000,
        "--repetition-penalty", "a number above 0, at most 1000", options.repetition_penalty);
  check(options.penalty_window >= 0, "--penalty-window", "0 or more", options.penalty_window);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  CheckSampling(options);
}

int32_t Sampler::Next(std::span<const float> logits, std::span<const int32_t> history) {
  logits_.assign(logits.begin(), logits.end());
  if (options_.repetition_penalty != 1) Penalise(history);
  const int32_t best = Largest(logits_);
  if (options_.temperature == 0) return best;

  candidates_.clear();
  const double top = logits_[static_cast<size_t>(best)];
  for (size_t id = 0; id < logits_.size(); ++id) {
    const double weight = std::exp((logits_[id] - top) / options_.temperature);
    candidates_.push_back({weight, static_cast<int32_t>(id)});
  }
  Cut();
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = Uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates_.back().id;
}

void Sampler::Penalise(std::span<const int32_t> history) {
  const auto window = static_cast<size_t>(options_.penalty_window);
  if (window > 0 && history.size() > window) history = history.last(window);
  const std::unordered_set<int32_t> seen(history.begin(), history.end());
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  for (int32_t id : seen) {
    if (id < 0 || static_cast<size_t>(id) >= logits_.size()) continue;
    float& logit = logits_[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

// Leaves the candidates that all cuts keep, best first. The best always stays.
void Sampler::Cut() {
  auto better = [](const Candidate& a, const Candidate& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
  };
  size_t kept = candidates_.size();
  if (options_.top_k > 0) kept = std::min(kept, static_cast<size_t>(options_.top_k));
  if (kept < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(kept - 1),
                     candidates_.end(), better);
    candidates_.resize(kept);
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
  if (options_.top_p < 1) {
    double total = 0, sum = 0;
    for (const Candidate& candidate : candidates_) total += candidate.weight;
    size_t n = 0;
    while (n < candidates_.size() && sum < options_.top_p * total) sum += candidates_[n++].weight;
    candidates_.resize(std::max<size_t>(n, 1));
  }
  const double least = options_.min_p * candidates_.front().weight;
  std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.weight < least; });
}

// SplitMix64 of seed and count. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", 2014.
double Sampler::Uniform() {
  uint64_t state = options_.seed * 0xD1342543DE82EF95u + ++n_drawn_ * 0x9E3779B97F4A7C15u;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
  state ^= state >> 31;
  return static_cast<double>(state >> 11) * 0x1p-53;
}

}  // namespace moescope::engine
