#include "routing/eviction_order.h"

#include <array>

#include "base/random.h"

namespace moescope::routing {
namespace {

constexpr std::array kRules = {EvictionRule::kLru,    EvictionRule::kLfu,
                               EvictionRule::kFifo,   EvictionRule::kRandom,
                               EvictionRule::kBelady, EvictionRule::kPinnedLru};
constexpr std::array kNames = {"lru", "lfu", "fifo", "random", "belady", "pinned"};

}  // namespace

std::span<const EvictionRule> AllEvictionRules() {
  return kRules;
}

const char* NameOf(EvictionRule rule) {
  return kNames[static_cast<size_t>(rule)];
}

std::optional<EvictionRule> EvictionRuleNamed(const std::string& name) {
  for (EvictionRule rule : kRules) {
    if (name == NameOf(rule)) return rule;
  }
  return std::nullopt;
}

bool IsStackRule(EvictionRule rule) {
  return rule != EvictionRule::kFifo;
}

void LruOrder::OnRow(std::span<const int32_t> experts) {
  for (int32_t expert : experts) keys_[static_cast<size_t>(expert)] = ++clock_;
}

// Key: uses * n_experts, less the expert's number, which is smaller.
LfuOrder::LfuOrder(int n_experts) : EvictionOrder(n_experts) {
  for (int expert = 0; expert < n_experts; ++expert) keys_[static_cast<size_t>(expert)] = -expert;
}

void LfuOrder::OnRow(std::span<const int32_t> experts) {
  for (int32_t expert : experts) keys_[static_cast<size_t>(expert)] += n_experts();
}

void RandomOrder::OnRow(std::span<const int32_t> /*experts*/) {
  uint64_t key = Combine(seed_, row_++);
  for (int64_t& expert_key : keys_) expert_key = static_cast<int64_t>(Scatter(key++));
}

void BeladyOrder::OnRow(std::span<const int32_t> experts) {
  for (int32_t expert : experts) keys_[static_cast<size_t>(expert)] = -next_use_[n_lookups_++];
}

PinnedLruOrder::PinnedLruOrder(int n_experts, std::span<const int32_t> pinned)
    : EvictionOrder(n_experts) {
  for (int32_t expert : pinned) keys_[static_cast<size_t>(expert)] = kPinned;
}

void PinnedLruOrder::OnRow(std::span<const int32_t> experts) {
  for (int32_t expert : experts) {
    int64_t& key = keys_[static_cast<size_t>(expert)];
    if (key != kPinned) key = ++clock_;
  }
}

}  // namespace moescope::routing
