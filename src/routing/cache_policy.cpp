#include "routing/cache_policy.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moescope::routing {

CachePolicy::CachePolicy(int capacity, std::unique_ptr<EvictionOrder> order)
    : capacity_(capacity), order_(std::move(order)) {
  MOESCOPE_CHECK(capacity >= 1);
  const size_t n_experts = static_cast<size_t>(order_->n_experts());
  place_.assign(n_experts, -1);
  in_row_.assign(n_experts, 0);
  for (auto* list : {&resident_, &admitted_, &evicted_}) list->reserve(n_experts);
}

int CachePolicy::Touch(std::span<const int32_t> experts) {
  admitted_.clear();
  evicted_.clear();
  order_->OnRow(experts);
  for (int32_t expert : experts) {
    in_row_[static_cast<size_t>(expert)] = 1;
    if (IsResident(expert)) continue;
    place_[static_cast<size_t>(expert)] = static_cast<int32_t>(resident_.size());
    resident_.push_back(expert);
    admitted_.push_back(expert);
    order_->OnAdmit(expert);
  }
  const size_t capacity = static_cast<size_t>(capacity_);
  while (resident_.size() > std::max(capacity, experts.size())) Evict(true);
  while (resident_.size() > capacity) Evict(false);
  for (int32_t expert : experts) in_row_[static_cast<size_t>(expert)] = 0;
  return static_cast<int>(experts.size() - admitted_.size());
}

void CachePolicy::Evict(bool spare_row) {
  int32_t victim = -1;
  for (int32_t expert : resident_) {
    if (spare_row && in_row_[static_cast<size_t>(expert)]) continue;
    if (victim < 0 || order_->Before(expert, victim)) victim = expert;
  }
  const int32_t place = std::exchange(place_[static_cast<size_t>(victim)], -1);
  const int32_t last = resident_.back();
  resident_.pop_back();
  if (last != victim) {
    resident_[static_cast<size_t>(place)] = last;
    place_[static_cast<size_t>(last)] = place;
  }
  evicted_.push_back(victim);
}

CacheStack::CacheStack(std::unique_ptr<EvictionOrder> order) : order_(std::move(order)) {
  const size_t n_experts = static_cast<size_t>(order_->n_experts());
  place_.assign(n_experts, kAbsent);
  list_.reserve(n_experts);
  pool_.reserve(n_experts);
}

// What a cache of k keeps beside the row's K experts are the k - K best of what it held of others.
// With one more place it holds one more expert, the k-th of the old list, and keeps one more: the
// best of what it did not keep before. So the new list is the row's experts, best first, and then
// place by place the best of a pool that the old list feeds. At the row's deepest expert the pool
// runs empty, and from there on the list stays as it is. Place by place, so the list is rewritten
// where it stands.
void CacheStack::Touch(std::span<const int32_t> experts, std::span<int32_t> depth) {
  order_->OnRow(experts);
  const size_t n_row = experts.size();
  size_t end = 0;  // of the part of the list that changes
  for (size_t i = 0; i < n_row; ++i) {
    int32_t& place = place_[static_cast<size_t>(experts[i])];
    depth[i] = place;
    if (place == kAbsent) {
      place = static_cast<int32_t>(list_.size());
      list_.push_back(experts[i]);
    }
    end = std::max(end, static_cast<size_t>(place) + 1);
  }
  for (int32_t expert : experts) place_[static_cast<size_t>(expert)] = kInRow;
  pool_.clear();
  for (size_t k = 0; k < n_row; ++k) {
    if (place_[static_cast<size_t>(list_[k])] != kInRow) pool_.push_back(list_[k]);
  }
  PutRowFirst(experts);
  for (size_t k = n_row; k < end; ++k) {
    // The row's experts have their new places already; others still have this one.
    const int32_t expert = list_[k];
    if (place_[static_cast<size_t>(expert)] == static_cast<int32_t>(k)) pool_.push_back(expert);
    list_[k] = TakeBest();
    place_[static_cast<size_t>(list_[k])] = static_cast<int32_t>(k);
  }
}

void CacheStack::PutRowFirst(std::span<const int32_t> experts) {
  for (size_t n = 0; n < experts.size(); ++n) {
    size_t at = n;
    for (; at > 0 && order_->Before(list_[at - 1], experts[n]); --at) list_[at] = list_[at - 1];
    list_[at] = experts[n];
  }
  for (size_t k = 0; k < experts.size(); ++k) {
    place_[static_cast<size_t>(list_[k])] = static_cast<int32_t>(k);
  }
}

int32_t CacheStack::TakeBest() {
  size_t best = 0;
  for (size_t i = 1; i < pool_.size(); ++i) {
    if (order_->Before(pool_[best], pool_[i])) best = i;
  }
  const int32_t expert = pool_[best];
  pool_[best] = pool_.back();
  pool_.pop_back();
  return expert;
}

}  // namespace moescope::routing
