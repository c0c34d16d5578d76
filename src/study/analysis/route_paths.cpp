#include "study/analysis/route_paths.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"

namespace moescope::study {
namespace {

// Numbers for (path, expert), by first appearance: a table where it is small, else hashed.
class StepNumbers {
 public:
  StepNumbers(int n_previous, int n_experts) : n_experts_(n_experts) {
    constexpr int64_t kTableEntries = int64_t{1} << 22;
    const int64_t n_entries = int64_t{n_previous} * n_experts;
    if (n_entries <= kTableEntries) table_.assign(n_entries, -1);
  }
  // The number of a step, `next` if it is new.
  int32_t NumberOf(int32_t previous, int expert, int32_t next) {
    const int64_t key = int64_t{previous} * n_experts_ + expert;
    if (table_.empty()) return hashed_.try_emplace(key, next).first->second;
    if (table_[key] < 0) table_[key] = next;
    return table_[key];
  }

 private:
  int n_experts_;
  std::vector<int32_t> table_;
  std::unordered_map<int64_t, int32_t> hashed_;
};

}  // namespace

void RoutePaths::AddLayer(FunctionRef<int(int64_t item)> first_choice) {
  constexpr int kMaxExperts = 4096;  // of any run
  const auto n_items = static_cast<int64_t>(path_of_item_.size());
  int n_experts = 1;
  for (int64_t item = 0; item < n_items; ++item) {
    n_experts = std::max(n_experts, first_choice(item) + 1);
  }
  MOESCOPE_CHECK(n_experts <= kMaxExperts);
  StepNumbers numbers(n_paths_, n_experts);
  std::vector<Step>& steps = levels_.emplace_back();
  for (int64_t item = 0; item < n_items; ++item) {
    int32_t& path = path_of_item_[item];
    const int expert = first_choice(item);
    if (path < 0 || expert < 0) {
      path = -1;
      continue;
    }
    const int32_t previous = path;
    path = numbers.NumberOf(previous, expert, static_cast<int32_t>(steps.size()));
    if (path == static_cast<int32_t>(steps.size())) {
      steps.push_back({previous, static_cast<int16_t>(expert)});
    }
  }
  n_paths_ = static_cast<int>(steps.size());
}

std::vector<int16_t> RoutePaths::Experts(int32_t path) const {
  std::vector<int16_t> experts(levels_.size());
  for (size_t level = levels_.size(); level-- > 0;) {
    const Step& step = levels_[level][path];
    experts[level] = step.expert;
    path = step.previous;
  }
  return experts;
}

std::vector<int64_t> RoutePaths::Counts() const {
  std::vector<int64_t> counts(n_paths_);
  for (int32_t path : path_of_item_) {
    if (path >= 0) ++counts[path];
  }
  return counts;
}

}  // namespace moescope::study
