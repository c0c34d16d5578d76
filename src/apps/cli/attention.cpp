// moescope attention: what the heads of a model look at in a text; of one head its rows.
#include "lab/attention.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/command.h"
#include "apps/cli/prompt_options.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "files/family.h"
#include "lab/route_watcher.h"
#include "lab/text_model.h"
#include "study/figures/routed_text.h"
#include "study/figures/text_table.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

struct AttentionOptions {
  PromptOptions prompt;
  std::vector<std::string> models;
  std::string rows, memory;
  int layer = -1, head = -1, n_threads = 0, top = 5;
  bool json = false;
};

// "3", "3-10" or "" (all). Throws Error(kBadInput).
std::pair<int64_t, int64_t> ParseRows(const std::string& text, int64_t n) {
  int64_t first = 0, last = n - 1;
  if (!text.empty()) {
    char* end = nullptr;
    first = last = std::strtoll(text.c_str(), &end, 10);
    if (*end == '-') last = std::strtoll(end + 1, &end, 10);
    const bool good = *end == '\0' && first >= 0 && first <= last && last < n;
    if (!good) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--rows: expected N or N-M from 0 to {}, found '{}'", n - 1,
                              text.substr(0, 60)));
    }
  }
  return {first, last};
}

// One model's attention over the text.
struct Watched {
  lab::TextModel opened;
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;  // for display
  std::vector<lab::HeadFigures> heads;
  std::optional<lab::AttentionRowsProbe> rows;
  std::optional<lab::RouteWatcher> routes;
};

Watched Watch(const AttentionOptions& options, const std::string& path) {
  Watched watched;
  watched.opened = lab::OpenTextModel(path);
  const engine::Model& model = *watched.opened.model;
  const files::ModelConfig& config = model.config();
  watched.ids = TokenisePrompt(options.prompt, watched.opened);
  const auto n = static_cast<int64_t>(watched.ids.size());
  if (n > config.context) {
    throw Error(ErrorKind::kBadInput, fmt::format("the text has {} tokens, the context of {} is {}",
                                                  n, path, config.context));
  }
  auto check = [](const char* option, int value, int end) {
    if (value < end) return;
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: expected 0 to {}, found {}", option, end - 1, value));
  };
  check("--layer", options.layer, config.n_layers);
  check("--head", options.head, config.n_heads);
  std::vector<std::string> bytes;
  for (int32_t id : watched.ids) {
    const text::Tokenizer& tokenizer = *watched.opened.tokenizer;
    bytes.push_back(tokenizer.IsControl(id) ? tokenizer.TokenText(id) : tokenizer.TokenBytes(id));
  }
  watched.tokens = study::DisplayPieces(bytes);

  lab::HeadFiguresProbe figures(config);
  std::vector<routing::Probe*> probes = {&figures};
  if (options.layer >= 0 && options.head >= 0) {
    const auto [first, last] = ParseRows(options.rows, n);
    watched.rows.emplace(options.layer, options.head, first, last, n);
    probes.push_back(&*watched.rows);
  }
  if (!config.dense()) {
    watched.routes.emplace(model.router(), config.n_layers, n);
    probes.push_back(&*watched.routes);
  }
  const uint64_t memory =
      options.memory.empty() ? AvailableMemoryBytes() : ParseBytes(options.memory);
  ThreadPool pool(options.n_threads);
  engine::PlanSweep(config, memory, static_cast<int>(n),
                    pool.n_threads());  // throws when it does not fit
  engine::Sweep sweep(model, engine::SelectKernels(), pool,
                      {.wave_rows = n, .max_sequence = static_cast<int>(n), .losses = false});
  engine::Wave wave;
  wave.Add(0, 0, watched.ids);
  sweep.Run(wave, probes);
  watched.heads = figures.Figures();
  return watched;
}

// The sink's own expert: what position 0 chooses at a layer, and how many others choose it too.
struct SinkRoute {
  int layer, expert;
  double share_of_others;
};

std::vector<SinkRoute> SinkRoutes(const Watched& watched) {
  std::vector<SinkRoute> routes;
  const auto n = static_cast<int64_t>(watched.ids.size());
  if (!watched.routes || n < 2) return routes;
  for (int layer = 0; layer < watched.opened.model->config().n_layers; ++layer) {
    const int expert = watched.routes->Experts(layer, 0)[0];
    int64_t same = 0;
    for (int64_t row = 1; row < n; ++row) same += watched.routes->Experts(layer, row)[0] == expert;
    routes.push_back({layer, expert, static_cast<double>(same) / static_cast<double>(n - 1)});
  }
  return routes;
}

ordered_json HeadJson(const std::string& model, const lab::HeadFigures& head) {
  return {{"model", model},      {"layer", head.layer},       {"head", head.head},
          {"rows", head.n_rows}, {"entropy", head.entropy},   {"distance", head.distance},
          {"sink", head.sink},   {"previous", head.previous}, {"self", head.self}};
}

ordered_json RowsJson(const Watched& watched) {
  ordered_json rows = ordered_json::array();
  if (!watched.rows) return rows;
  for (int64_t row = watched.rows->first(); row < watched.rows->first() + watched.rows->n_rows();
       ++row) {
    rows.push_back({{"position", row},
                    {"token", watched.tokens[static_cast<size_t>(row)]},
                    {"weights", watched.rows->Row(row).first(static_cast<size_t>(row) + 1)}});
  }
  return rows;
}

void PrintJson(const AttentionOptions& options, const std::vector<Watched>& all) {
  ordered_json rows = ordered_json::array(), models = ordered_json::array();
  for (size_t i = 0; i < all.size(); ++i) {
    for (const lab::HeadFigures& head : all[i].heads) {
      rows.push_back(HeadJson(options.models[i], head));
    }
    ordered_json sinks = ordered_json::array();
    for (const SinkRoute& sink : SinkRoutes(all[i])) {
      sinks.push_back({{"layer", sink.layer},
                       {"expert", sink.expert},
                       {"share_of_others", sink.share_of_others}});
    }
    models.push_back({{"model", options.models[i]},
                      {"identity", all[i].opened.model->checkpoint().Identity()},
                      {"tokens", all[i].tokens},
                      {"sink_routes", sinks},
                      {"attention", RowsJson(all[i])}});
  }
  const ordered_json answer = {{"rows", rows},
                               {"models", models},
                               {"precision", "exact"},
                               {"kernel_level", Name(engine::SelectKernels().level)}};
  fmt::print("{}\n", answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// Each head as one letter of what it mostly does, layers downwards.
void PrintHeads(const Watched& watched) {
  const files::ModelConfig& config = watched.opened.model->config();
  fmt::print(
      "  heads: S looks at the first token (sink), P at the previous, s at itself (half of "
      "its weight or more), . elsewhere\n");
  for (int layer = 0; layer < config.n_layers; ++layer) {
    std::string letters;
    double sink = 0, previous = 0, entropy = 0, distance = 0;
    for (int head = 0; head < config.n_heads; ++head) {
      const lab::HeadFigures& of =
          watched.heads[static_cast<size_t>(layer * config.n_heads + head)];
      letters += of.sink >= 0.5 ? 'S' : of.previous >= 0.5 ? 'P' : of.self >= 0.5 ? 's' : '.';
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
}

void PrintSinks(const Watched& watched) {
  const std::vector<SinkRoute> sinks = SinkRoutes(watched);
  if (sinks.empty()) return;
  const int n_experts = watched.opened.model->config().n_experts;
  fmt::print(
      "  first token's expert by layer, and the share of other tokens that choose it first "
      "(even: {:.1f} %)\n   ",
      100.0 / n_experts);
  for (const SinkRoute& sink : sinks) {
    fmt::print(" L{} e{} {:.0f} %", sink.layer, sink.expert, 100 * sink.share_of_others);
  }
  fmt::print("\n");
}

void PrintRows(const AttentionOptions& options, const Watched& watched) {
  if (!watched.rows) return;
  fmt::print("  layer {} head {}: the {} positions each token looks at most\n", options.layer,
             options.head, options.top);
  for (int64_t row = watched.rows->first(); row < watched.rows->first() + watched.rows->n_rows();
       ++row) {
    const std::span<const float> weights =
        watched.rows->Row(row).first(static_cast<size_t>(row) + 1);
    std::vector<int64_t> order(weights.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    const size_t n = std::min(order.size(), static_cast<size_t>(options.top));
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

void RunAttention(const AttentionOptions& options) {
  if ((options.layer >= 0) != (options.head >= 0) || (!options.rows.empty() && options.head < 0)) {
    throw Error(ErrorKind::kBadInput, "--layer and --head belong together, --rows needs both");
  }
  std::vector<Watched> all;
  for (const std::string& model : options.models) all.push_back(Watch(options, model));
  if (options.json) return PrintJson(options, all);
  for (size_t i = 0; i < all.size(); ++i) {
    const files::ModelConfig& config = all[i].opened.model->config();
    fmt::print("{}{}: {}, {} tokens\n", i > 0 ? "\n" : "", options.models[i],
               files::FamilyOf(config).title, all[i].ids.size());
    PrintHeads(all[i]);
    PrintSinks(all[i]);
    PrintRows(options, all[i]);
  }
  if (options.head < 0) fmt::print("\nnext: --layer L --head H shows what one head looks at\n");
}

}  // namespace

std::function<void()> AddAttention(CLI::App& app) {
  auto options = std::make_shared<AttentionOptions>();
  app.add_option("-m,--model", options->models,
                 "checkpoint; several, each with its -m, are shown one after another")
      ->required();
  AddPromptOptions(app, options->prompt);
  app.add_option("--layer", options->layer, "layer of the head to show")
      ->check(CLI::Range(0, 1023));
  app.add_option("--head", options->head, "head to show")->check(CLI::Range(0, 4095));
  app.add_option("--rows", options->rows, "only these positions of it, as 7 or 100-120");
  app.add_option("--top", options->top, "positions shown of each row")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("-t,--threads", options->n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--memory", options->memory, "memory to use, such as 96M or 2G");
  app.add_flag("--json", options->json, "figures of all heads, and the whole rows");
  return [options] { RunAttention(*options); };
}

}  // namespace moescope::cli
