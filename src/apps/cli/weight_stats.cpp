#include "apps/cli/weight_stats.h"

#include <fmt/format.h>

#include <type_traits>

#include "base/platform/memory.h"
#include "base/units.h"

namespace moescope::cli {
namespace {

double Share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

std::string WeightStatsText(const engine::Model& model) {
  const engine::WeightStore& weights = model.weights();
  std::string text;
  const engine::ExpertSchedule* schedule = weights.experts();
  if (schedule == nullptr) {
    text = fmt::format("weights: {} {}\n", FormatBytes(weights.plan().total_bytes),
                       weights.mapped() ? "mapped" : "in memory");
  } else {
    const engine::ExpertStats stats = schedule->stats();
    const engine::ExpertLayout& layout = schedule->layout();
    text = fmt::format("weights: slots for {} of {} experts, {} of them by {}; {} read from disk\n",
                       weights.plan().n_slots, layout.n_cells(), schedule->policy().capacity(),
                       routing::NameOf(schedule->options().rule), FormatBytes(stats.bytes_read));
    if (stats.lookups > 0) {
      text += fmt::format(
          "decoding: {:.1f} % of {} lookups were hits; of the misses {:.1f} % were read ahead; "
          "recall of the forecasts: router {:.1f} %, transitions {:.1f} %\n",
          100 * Share(stats.hits, stats.lookups), FormatCount(static_cast<uint64_t>(stats.lookups)),
          100 * Share(stats.read_ahead, stats.lookups - stats.hits),
          100 * Share(stats.router_found, stats.router_expected),
          100 * Share(stats.transitions_found, stats.transitions_expected));
    }
    if (stats.scan_lookups > 0) {
      text += fmt::format("prompts: {:.1f} % of {} experts were in memory\n",
                          100 * Share(stats.scan_hits, stats.scan_lookups),
                          FormatCount(static_cast<uint64_t>(stats.scan_lookups)));
    }
  }
  return text + fmt::format("peak memory: {}\n", FormatBytes(PeakResidentBytes()));
}

NamedNumbers WeightStats(const engine::Model& model) {
  const engine::ExpertSchedule* schedule = model.weights().experts();
  NamedNumbers named = {{"peak_memory_bytes", static_cast<int64_t>(PeakResidentBytes())}};
  if (schedule == nullptr) return named;
  const engine::ExpertStats stats = schedule->stats();
  auto add = [&named](const char* name, auto value) {
    using Number = std::conditional_t<std::is_integral_v<decltype(value)>, int64_t, double>;
    named.emplace_back(name, static_cast<Number>(value));
  };
  add("slots", model.weights().plan().n_slots);
  add("policy_slots", schedule->policy().capacity());
  add("bytes_read", stats.bytes_read);
  add("lookups", stats.lookups);
  add("hits", stats.hits);
  add("hit_ratio", Share(stats.hits, stats.lookups));
  add("read_ahead", stats.read_ahead);
  add("prompt_lookups", stats.scan_lookups);
  add("prompt_hits", stats.scan_hits);
  add("recall_router", Share(stats.router_found, stats.router_expected));
  add("recall_transitions", Share(stats.transitions_found, stats.transitions_expected));
  return named;
}

}  // namespace moescope::cli
