#include "apps/cli/attention_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

namespace moescope::cli {
namespace {

char Letter(lab::HeadKind kind) {
  switch (kind) {
    case lab::HeadKind::kSink:
      return 'S';
    case lab::HeadKind::kPrevious:
      return 'P';
    case lab::HeadKind::kSelf:
      return 's';
    case lab::HeadKind::kBroad:
      return 'B';
    case lab::HeadKind::kOther:
      break;
  }
  return '.';
}

}  // namespace

void PrintHeads(const Watched& watched) {
  const files::ModelConfig& config = watched.config();
  const lab::HeadFigures even = watched.Even();
  fmt::print(
      "  heads: S looks at the first token (sink), P at the previous, s at itself (half of "
      "its weight or more), B broadly ({:.0f} % of even attention's entropy or more), . "
      "elsewhere\n",
      100 * lab::kBroadEntropy);
  for (int layer = 0; layer < config.n_layers; ++layer) {
    std::string letters;
    double sink = 0, previous = 0, entropy = 0, distance = 0;
    for (int head = 0; head < config.n_heads; ++head) {
      const lab::HeadFigures& of =
          watched.attention.heads[static_cast<size_t>(layer * config.n_heads + head)];
      letters += Letter(lab::KindOf(of, even));
      sink += of.sink / config.n_heads;
      previous += of.previous / config.n_heads;
      entropy += of.entropy / config.n_heads;
      distance += of.distance / config.n_heads;
    }
    fmt::print(
        "  layer {:>3}  {}   sink {:5.1f} %  previous {:5.1f} %  entropy {:.2f} nats  "
        "distance {:.1f}\n",
        layer, letters, 100 * sink, 100 * previous, entropy, distance);
  }
  fmt::print("  {:<{}}  sink {:5.1f} %  previous {:5.1f} %  entropy {:.2f} nats  distance {:.1f}\n",
             "even", config.n_heads + 9, 100 * even.sink, 100 * even.previous, even.entropy,
             even.distance);
}

void PrintSinks(const Watched& watched) {
  const std::vector<lab::SinkRoute>& routes = watched.attention.sink_routes;
  if (routes.empty()) return;
  fmt::print(
      "  first token's expert by layer, and the share of other tokens that choose it first "
      "(even: {:.1f} %)\n   ",
      100.0 / watched.config().n_experts);
  for (const lab::SinkRoute& route : routes) {
    fmt::print(" L{} e{} {:.0f} %", route.layer, route.experts[0], 100 * route.share_of_same());
  }
  fmt::print("\n");
}

void PrintRows(const Watched& watched, int top) {
  const std::optional<lab::AttentionRowsProbe>& kept = watched.attention.rows;
  if (!kept) return;
  fmt::print("  layer {} head {}: the {} positions each token looks at most\n", kept->layer(),
             kept->head(), top);
  for (int64_t row = kept->first(); row < kept->first() + kept->n_rows(); ++row) {
    const std::span<const float> weights = kept->Row(row).first(static_cast<size_t>(row) + 1);
    std::vector<int64_t> order(weights.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    const size_t n = std::min(order.size(), static_cast<size_t>(top));
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(n), order.end(),
                      [&](int64_t a, int64_t b) {
                        const float x = weights[static_cast<size_t>(a)];
                        const float y = weights[static_cast<size_t>(b)];
                        return x > y || (x == y && a < b);
                      });
    std::string line = fmt::format("  {:>6} {:<12}", row, watched.tokens[static_cast<size_t>(row)]);
    for (size_t i = 0; i < n; ++i) {
      const auto key = static_cast<size_t>(order[i]);
      line += fmt::format("  {}:{} {:.2f}", key, watched.tokens[key], weights[key]);
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace moescope::cli
