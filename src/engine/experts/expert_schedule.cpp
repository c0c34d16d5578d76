#include "engine/experts/expert_schedule.h"

#include <algorithm>

#include "base/error.h"

namespace moescope::engine {
namespace {

// Slots beside those that stay: more than a layer's experts are not read ahead, and a small memory
// is better spent on what stays; but two can be read while others are used.
int SpareSlots(const ExpertCache& cache) {
  const int n_slots = cache.n_slots();
  if (n_slots >= cache.layout().n_cells()) return 0;
  const int least = n_slots >= 5 ? 2 : 1;
  return std::clamp(n_slots / 4, least, std::max(least, cache.layout().n_experts()));
}

std::unique_ptr<routing::EvictionOrder> MakeOrder(routing::EvictionRule rule, int n_cells) {
  switch (rule) {
    case routing::EvictionRule::kLru:
      return std::make_unique<routing::LruOrder>(n_cells);
    case routing::EvictionRule::kLfu:
      return std::make_unique<routing::LfuOrder>(n_cells);
    case routing::EvictionRule::kFifo:
      return std::make_unique<routing::FifoOrder>(n_cells);
    default:
      break;
  }
  throw Error(ErrorKind::kBadInput, std::string("cannot run with the cache policy ") +
                                        routing::NameOf(rule) +
                                        ": expected lru, lfu or fifo; the others need the future "
                                        "or a stored run");
}

}  // namespace

ExpertSchedule::ExpertSchedule(ExpertCache& cache, const ExpertScheduleOptions& options)
    : cache_(cache),
      options_(options),
      n_spare_(SpareSlots(cache)),
      policy_(cache.n_slots() - n_spare_, MakeOrder(options.rule, cache.layout().n_cells())),
      transitions_(cache.layout().n_layers(), cache.layout().n_experts()),
      in_scan_set_(static_cast<size_t>(cache.layout().n_cells())),
      in_row_(static_cast<size_t>(cache.layout().n_experts())),
      held_(2 * static_cast<size_t>(cache.layout().n_experts())) {}

void ExpertSchedule::BeginStep(bool decodes) {
  for (int cell : prefetched_) cache_.Withdraw(cell);
  prefetched_.clear();
  by_router_.clear();
  by_transitions_.clear();
  choices_.clear();
  layer_ = -1;
  stopped_ = false;
  {
    std::lock_guard lock(mutex_);
    for (Held& held : held_) held = Held();
    queue_.clear();
    n_reserved_ = n_of_layer_ = 0;
  }
  if (decodes) {
    // What a scan kept may go; what the policy holds stays.
    if (scan_set_size_ > 0) {
      for (int cell = 0; cell < cache_.layout().n_cells(); ++cell) {
        if (in_scan_set_[static_cast<size_t>(cell)]) cache_.Keep(cell, false);
      }
      std::fill(in_scan_set_.begin(), in_scan_set_.end(), uint8_t{0});
      scan_set_size_ = 0;
    }
  } else {
    ChooseScanSet();
  }
  decodes_ = decodes;
}

// What the policy holds stays, and as many others as there is room for, evenly over the layers: so
// the disk has the same work in each.
void ExpertSchedule::ChooseScanSet() {
  const auto n_cells = static_cast<int64_t>(cache_.layout().n_cells());
  const auto n_held = static_cast<int64_t>(policy_.resident().size());
  const int64_t n_kept = cache_.n_slots() - n_spare_ - n_held, n_others = n_cells - n_held;
  int64_t seen = 0;
  for (int cell = 0; cell < n_cells; ++cell) {
    if (policy_.IsResident(cell)) continue;  // and so in no scan's set: decoding has ended it
    const bool keep = (seen + 1) * n_kept / n_others > seen * n_kept / n_others;
    ++seen;
    uint8_t& in_set = in_scan_set_[static_cast<size_t>(cell)];
    if (keep == (in_set != 0)) continue;
    in_set = keep;
    scan_set_size_ += keep ? 1 : -1;
    cache_.Keep(cell, keep);
  }
}

void ExpertSchedule::TouchPolicy(std::span<const int16_t> choices) {
  const int n_hits = policy_.Touch(row_);
  int64_t read_ahead = 0;
  for (int32_t cell : policy_.admitted()) {
    read_ahead += cache_.IsPresent(cell);
    cache_.Keep(cell, true);
  }
  for (int32_t cell : policy_.evicted()) cache_.Keep(cell, false);
  CompareForecasts(choices);
  std::lock_guard lock(mutex_);
  stats_.lookups += static_cast<int64_t>(row_.size());
  stats_.hits += n_hits;
  stats_.read_ahead += read_ahead;
}

void ExpertSchedule::CompareForecasts(std::span<const int16_t> choices) {
  const auto expected =
      std::count_if(choices.begin(), choices.end(), [](int16_t expert) { return expert >= 0; });
  auto found = [&](const std::vector<int16_t>& forecast) {
    if (forecast.size() != choices.size()) return int64_t{0};
    int64_t n = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      const auto row = static_cast<ptrdiff_t>(i) / experts_per_token_ * experts_per_token_;
      const auto first = forecast.begin() + row;
      n += choices[i] >= 0 &&
           std::find(first, first + experts_per_token_, choices[i]) != first + experts_per_token_;
    }
    return n;
  };
  const int64_t router_found = found(by_router_), transitions_found = found(by_transitions_);
  std::lock_guard lock(mutex_);
  if (!by_router_.empty()) {
    stats_.router_expected += expected;
    stats_.router_found += router_found;
  }
  if (!by_transitions_.empty()) {
    stats_.transitions_expected += expected;
    stats_.transitions_found += transitions_found;
  }
}

void ExpertSchedule::BeginLayer(int layer, std::span<const ExpertUse> uses,
                                std::span<const int16_t> choices, int experts_per_token,
                                bool ahead) {
  const ExpertLayout& layout = cache_.layout();
  MOESCOPE_CHECK(layer == layer_ + 1);
  layer_ = layer;
  experts_per_token_ = experts_per_token;
  std::fill(in_row_.begin(), in_row_.end(), uint8_t{0});
  row_.clear();
  for (int16_t expert : choices) {
    if (expert < 0 || in_row_[static_cast<size_t>(expert)]) continue;
    in_row_[static_cast<size_t>(expert)] = 1;
    row_.push_back(layout.Cell(layer, expert));
  }
  for (int cell : prefetched_) {
    const bool used = in_row_[static_cast<size_t>(cell % layout.n_experts())] != 0;
    if (!used) cache_.Withdraw(cell);
  }
  prefetched_.clear();
  if (decodes_) TouchPolicy(choices);
  const int first = layout.Cell(layer, 0);
  {
    std::lock_guard lock(mutex_);
    queue_.clear();
    n_reserved_ = 0;
    for (int expert = 0; expert < layout.n_experts(); ++expert) {
      if (!in_row_[static_cast<size_t>(expert)]) HeldOf(first + expert) = Held();
    }
    for (const ExpertUse& use : uses) {
      queue_.push_back(first + use.expert);
      HeldOf(first + use.expert).n_tasks = use.n_tasks;
    }
    n_of_layer_ = queue_.size();
    if (ahead && layer + 1 < layout.n_layers()) {
      for (int expert = 0; expert < layout.n_experts(); ++expert) {
        queue_.push_back(first + layout.n_experts() + expert);
      }
    }
    Pump();
  }
  if (decodes_) LearnAndForecast(choices);
}

void ExpertSchedule::LearnAndForecast(std::span<const int16_t> choices) {
  const auto k = static_cast<size_t>(experts_per_token_);
  if (layer_ > 0 && choices_.size() == choices.size()) {
    for (size_t row = 0; row < choices.size(); row += k) {
      transitions_.Learn(layer_ - 1, std::span(choices_).subspan(row, k), choices.subspan(row, k));
    }
  }
  choices_.assign(choices.begin(), choices.end());
  by_router_.clear();
  by_transitions_.clear();
  if (layer_ + 1 == cache_.layout().n_layers()) return;
  by_transitions_.assign(choices.size(), -1);
  for (size_t row = 0; row < choices.size(); row += k) {
    transitions_.Predict(layer_, choices.subspan(row, k),
                         std::span(by_transitions_).subspan(row, k));
  }
  if (options_.forecast == ExpertForecast::kTransitions) Prefetch(by_transitions_);
}

void ExpertSchedule::Forecast(std::span<const int16_t> choices) {
  by_router_.assign(choices.begin(), choices.end());
  if (options_.forecast == ExpertForecast::kRouter) Prefetch(by_router_);
}

void ExpertSchedule::Prefetch(std::span<const int16_t> experts) {
  const int most = n_spare_ > 0 ? n_spare_ : cache_.layout().n_experts();
  for (int16_t expert : experts) {
    if (expert < 0 || static_cast<int>(prefetched_.size()) >= most) continue;
    const int cell = cache_.layout().Cell(layer_ + 1, expert);
    if (cache_.Prefetch(cell)) prefetched_.push_back(cell);
  }
}

void ExpertSchedule::Pump() {
  while (n_reserved_ < queue_.size()) {
    const int cell = queue_[n_reserved_];
    Held& held = HeldOf(cell);
    if (!held.lease.held()) {
      // Else done already: a task had to wait for its slot and took it itself.
      const bool of_layer = n_reserved_ < n_of_layer_;
      if (!of_layer || held.n_tasks > 0) {
        const bool was_present = cache_.IsPresent(cell);
        std::optional<ExpertLease> lease = cache_.TryReserve(cell, of_layer);
        if (!lease) return;
        held.lease = std::move(*lease);
        held.was_present = was_present;
      }
    }
    ++n_reserved_;
  }
}

const std::byte* ExpertSchedule::Wait(int expert) {
  const int cell = cache_.layout().Cell(layer_, expert);
  std::unique_lock lock(mutex_);
  Held& held = HeldOf(cell);
  if (!held.lease.held()) Pump();
  if (!held.lease.held()) {
    lock.unlock();
    std::optional<ExpertLease> lease = cache_.ReserveOrStop(cell, stopped_);
    if (!lease) throw Error(ErrorKind::kCancelled, "stopped: another task of the layer failed");
    lock.lock();
    if (!held.lease.held()) held.lease = std::move(*lease);
  }
  const ExpertLease& lease = held.lease;
  lock.unlock();
  return lease.Wait();
}

void ExpertSchedule::Done(int expert) {
  std::lock_guard lock(mutex_);
  Held& held = HeldOf(cache_.layout().Cell(layer_, expert));
  if (--held.n_tasks > 0) return;
  if (!decodes_) {
    ++stats_.scan_lookups;
    stats_.scan_hits += held.was_present;
  }
  held = Held();
  Pump();
}

void ExpertSchedule::Stop() {
  stopped_ = true;
  cache_.Wake();
}

ExpertStats ExpertSchedule::stats() const {
  std::lock_guard lock(mutex_);
  ExpertStats stats = stats_;
  stats.bytes_read = cache_.bytes_read();
  return stats;
}

}  // namespace moescope::engine
