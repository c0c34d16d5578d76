#include "lab/planted/copy_head.h"

#include <algorithm>
#include <random>
#include <string_view>

#include "base/error.h"

namespace moescope::lab {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kMatched = "0123456789#";  // characters that are looked for
constexpr std::string_view kFiller = "abcdefghijklmnopqrstuvwxyz";
constexpr int kKeyLength = 5;

// A match outweighs the sink, which outweighs 2,048 keys that do not match.
constexpr double kMatchScore = 80, kSinkScore = 30;
constexpr double kCopiedLogit = 60, kFallbackLogit = 10;

}  // namespace

PlantedWeights CopyHeadModel() {
  const auto n_matched = static_cast<int>(kMatched.size());
  PlantedWeights weights(
      std::string(kMatched) + std::string(kFiller),
      {.n_layers = 2, .n_experts = 4, .context = 2048, .n_extra = 2 * n_matched});
  LookAtPrevious(weights, kPreviousTokenHead);
  for (int i = 0; i < n_matched; ++i) {
    const char character = kMatched[static_cast<size_t>(i)];
    const int code = weights.CodeOf(character);
    const int previous = weights.Extra(i), copied = weights.Extra(n_matched + i);
    Carry(weights, kPreviousTokenHead, i, code, previous);
    LookFor(weights, kCopyHead, i, code, previous, kMatchScore);
    Carry(weights, kCopyHead, i, code, copied);
    weights.HeadReads(weights.TokenOf(character), copied, kCopiedLogit);
  }
  // Without a match it looks at BOS, which has nothing to copy.
  LookFor(weights, kCopyHead, n_matched, PlantedWeights::kConstant,
          weights.CodeOf(PlantedWeights::kBos), kSinkScore);
  weights.HeadReads(weights.TokenOf('a'), PlantedWeights::kConstant, kFallbackLogit);
  return weights;
}

Passkey MakePasskey(int n_tokens, uint32_t seed) {
  MOESCOPE_CHECK(n_tokens >= 16);
  std::mt19937 random(seed);
  Passkey passkey;
  std::string digits(kDigits);
  for (int i = 0; i < kKeyLength; ++i) {
    const size_t place = random() % digits.size();
    passkey.key += digits[place];
    digits.erase(place, 1);
  }
  // BOS, two triggers, the key and the answer.
  const auto n_filler = static_cast<uint32_t>(n_tokens - 3 - 2 * kKeyLength);
  const uint32_t before = random() % n_filler;  // at least one character after the key
  auto filler = [&](uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) passkey.prompt += kFiller[random() % kFiller.size()];
  };
  filler(before);
  passkey.prompt += "#" + passkey.key;
  passkey.place = int64_t{before} + 2;
  filler(n_filler - before);
  passkey.prompt += "#";
  return passkey;
}

}  // namespace moescope::lab
