// Policies and sizes as people write them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/error.h"
#include "study/simulate/cache.h"

namespace moescope::study {
namespace {

constexpr int kSizesOneByOne = 16;

template <typename OnItem>
void ForEachItem(std::string_view text, OnItem on_item) {
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    on_item(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

std::string PolicyNames() {
  std::string names;
  for (routing::EvictionRule rule : routing::AllEvictionRules()) {
    names += std::string(routing::NameOf(rule)) + ", ";
  }
  return names + "all";
}

int ReadSize(std::string_view item, const std::string& text, int n_experts) {
  int size = 0;
  const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), size);
  if (error != std::errc() || stop != item.data() + item.size() || size < 1 || size > n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--sizes {}: expected sizes from 1 to {}, the experts there are, as "
                            "1-8 or 1,2,4; found '{}'",
                            text, n_experts, item));
  }
  return size;
}

std::vector<int> DefaultSizes(int n_experts) {
  std::vector<int> sizes;
  for (int size = 1; size < n_experts; size += size < kSizesOneByOne ? 1 : size) {
    sizes.push_back(size);
  }
  sizes.push_back(n_experts);
  return sizes;
}

}  // namespace

std::vector<routing::EvictionRule> ParsePolicies(const std::string& text) {
  const auto all = routing::AllEvictionRules();
  if (text == "all") return {all.begin(), all.end()};
  std::vector<routing::EvictionRule> rules;
  ForEachItem(text, [&](std::string_view item) {
    const auto rule = routing::EvictionRuleNamed(std::string(item));
    if (!rule) {
      throw Error(ErrorKind::kBadInput, fmt::format("--policy {}: expected some of {}; found '{}'",
                                                    text, PolicyNames(), item));
    }
    if (std::find(rules.begin(), rules.end(), *rule) == rules.end()) rules.push_back(*rule);
  });
  return rules;
}

std::vector<int> ParseCacheSizes(const std::string& text, int n_experts) {
  if (text.empty()) return DefaultSizes(n_experts);
  std::vector<int> sizes;
  ForEachItem(text, [&](std::string_view item) {
    const size_t dash = item.find('-');
    const int first = ReadSize(item.substr(0, dash), text, n_experts);
    const int last =
        dash == std::string_view::npos ? first : ReadSize(item.substr(dash + 1), text, n_experts);
    if (last < first) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--sizes {}: expected ranges that increase, found '{}'", text, item));
    }
    for (int size = first; size <= last; ++size) sizes.push_back(size);
  });
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

}  // namespace moescope::study
