// moescope attention: what the heads of a model look at in a text; of one head its rows.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/attention_text.h"
#include "apps/cli/command.h"
#include "apps/cli/page_file.h"
#include "apps/cli/prompt_options.h"
#include "apps/cli/shell_word.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/kernels/kernel_table.h"
#include "files/family.h"
#include "lab/attention_page_data.h"
#include "study/figures/routed_text.h"
#include "study/report/report_page.h"
#include "study/report/web_bundle.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

struct AttentionOptions {
  PromptOptions prompt;
  std::vector<std::string> models;
  std::string rows, memory, output, title;
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

void CheckFits(const AttentionOptions& options, const Watched& watched) {
  const files::ModelConfig& config = watched.config();
  if (watched.n_tokens() < 2) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("nothing to look at: {} reads the text as 1 token, which sees only "
                            "itself; give more text with -p or -f",
                            watched.path));
  }
  if (watched.n_tokens() > config.context) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("the text is too long: expected at most {} tokens, the context of {}, "
                            "found {}; give a shorter text",
                            config.context, watched.path, watched.n_tokens()));
  }
  auto check = [&](const char* option, int value, int end, const char* of_what) {
    if (value < end) return;
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} has {} {}: expected 0 to {}, found {}", option, watched.path,
                            end, of_what, end - 1, value));
  };
  check("--layer", options.layer, config.n_layers, "layers");
  check("--head", options.head, config.n_heads, "heads a layer");
}

Watched Open(const AttentionOptions& options, const std::string& path,
             const std::string& prompt_text) {
  Watched watched;
  watched.path = path;
  watched.opened = lab::OpenTextModel(path);
  watched.ids = TokeniseText(prompt_text, options.prompt, watched.opened);
  CheckFits(options, watched);
  std::vector<std::string> bytes;
  for (int32_t id : watched.ids) {
    const text::Tokenizer& tokenizer = *watched.opened.tokenizer;
    bytes.push_back(tokenizer.IsControl(id) ? tokenizer.TokenText(id) : tokenizer.TokenBytes(id));
  }
  watched.tokens = study::DisplayPieces(bytes);
  return watched;
}

// Tokens a block of the matrices that the page keeps of each model; 0 where there is no page.
std::vector<int64_t> Blocks(const AttentionOptions& options, const std::vector<Watched>& all) {
  if (options.output.empty()) return std::vector<int64_t>(all.size(), 0);
  std::vector<lab::MatricesWanted> wanted;
  for (const Watched& watched : all) {
    wanted.push_back(lab::MatricesOnPage(watched.config(), watched.n_tokens()));
  }
  return lab::ChooseBlocks(wanted, lab::kMaxPageCells);
}

std::vector<Watched> WatchAll(const AttentionOptions& options) {
  const std::string prompt_text = ReadPrompt(options.prompt);
  std::vector<Watched> all;
  for (const std::string& model : options.models) all.push_back(Open(options, model, prompt_text));
  const std::vector<int64_t> blocks = Blocks(options, all);
  for (size_t i = 0; i < all.size(); ++i) {
    lab::WatchOptions watch;
    watch.block = blocks[i];
    watch.memory = options.memory.empty() ? AvailableMemoryBytes() : ParseBytes(options.memory);
    watch.n_threads = options.n_threads;
    if (options.head >= 0) {
      const auto [first, last] = ParseRows(options.rows, all[i].n_tokens());
      watch.rows = {options.layer, options.head, first, last};
    }
    all[i].attention = lab::WatchAttention(*all[i].opened.model, all[i].ids, watch);
  }
  return all;
}

ordered_json FiguresJson(const lab::HeadFigures& figures) {
  return {{"rows", figures.n_rows}, {"entropy", figures.entropy},   {"distance", figures.distance},
          {"sink", figures.sink},   {"previous", figures.previous}, {"self", figures.self}};
}

ordered_json HeadJson(const std::string& model, const lab::HeadFigures& head,
                      const lab::HeadFigures& even) {
  ordered_json row = {{"model", model}, {"layer", head.layer}, {"head", head.head}};
  row.update(FiguresJson(head));
  row["kind"] = Name(KindOf(head, even));
  return row;
}

ordered_json RowsJson(const Watched& watched) {
  ordered_json rows = ordered_json::array();
  const std::optional<lab::AttentionRowsProbe>& kept = watched.attention.rows;
  if (!kept) return rows;
  for (int64_t row = kept->first(); row < kept->first() + kept->n_rows(); ++row) {
    rows.push_back({{"position", row},
                    {"token", watched.tokens[static_cast<size_t>(row)]},
                    {"weights", kept->Row(row).first(static_cast<size_t>(row) + 1)}});
  }
  return rows;
}

ordered_json SinkRoutesJson(const Watched& watched) {
  ordered_json routes = ordered_json::array();
  for (const lab::SinkRoute& route : watched.attention.sink_routes) {
    routes.push_back({{"layer", route.layer},
                      {"expert", route.experts[0]},
                      {"share_of_others", route.share_of_same()},
                      {"experts", route.experts},
                      {"weights", route.weights},
                      {"others_by_expert", route.share_of_others}});
  }
  return routes;
}

// `page_bytes`: 0 where no page was written.
void PrintJson(const AttentionOptions& options, const std::vector<Watched>& all,
               size_t page_bytes) {
  ordered_json rows = ordered_json::array(), models = ordered_json::array();
  for (const Watched& watched : all) {
    const lab::HeadFigures even = watched.Even();
    for (const lab::HeadFigures& head : watched.attention.heads) {
      rows.push_back(HeadJson(watched.path, head, even));
    }
    models.push_back({{"model", watched.path},
                      {"identity", watched.opened.model->checkpoint().Identity()},
                      {"tokens", watched.tokens},
                      {"even", FiguresJson(even)},
                      {"sink_routes", SinkRoutesJson(watched)},
                      {"attention", RowsJson(watched)}});
  }
  ordered_json answer = {{"rows", rows},
                         {"models", models},
                         {"precision", "exact"},
                         {"kernel_level", Name(engine::SelectKernels().level)}};
  if (page_bytes > 0) {
    answer["page"] = options.output;
    answer["bytes"] = page_bytes;
  }
  fmt::print("{}\n", answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// The command as one would type it, for the page.
std::string CommandOf(const AttentionOptions& options) {
  std::string command = "moescope attention";
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) command += fmt::format(" {} {}", option, ShellWord(value));
  };
  for (const std::string& model : options.models) add("-m", model);
  add("-p", options.prompt.prompt);
  add("-f", options.prompt.file);
  if (options.prompt.bos != "auto") add("--bos", options.prompt.bos);
  add("--title", options.title);
  if (options.head >= 0) {
    add("--layer", std::to_string(options.layer));
    add("--head", std::to_string(options.head));
  }
  add("-o", options.output);
  return command;
}

std::string TitleOf(const AttentionOptions& options, const std::vector<Watched>& all) {
  if (!options.title.empty()) return options.title;
  std::string models;
  for (const Watched& watched : all) {
    models += models.empty() ? "" : " and ";
    models += files::FamilyOf(watched.config()).title;
  }
  return "What " + models + " look" + (all.size() == 1 ? "s" : "") + " at";
}

// Returns the bytes of the page.
size_t WriteAttentionPage(const AttentionOptions& options, const std::vector<Watched>& all) {
  std::vector<lab::AttentionPageModel> models;
  for (const Watched& watched : all) {
    models.push_back({.path = watched.path,
                      .identity = watched.opened.model->checkpoint().Identity(),
                      .config = &watched.config(),
                      .tokens = watched.tokens,
                      .heads = watched.attention.heads,
                      .matrices = &*watched.attention.matrices,
                      .sink_routes = watched.attention.sink_routes});
  }
  const lab::AttentionPageOptions page_options = {
      .title = TitleOf(options, all),
      .command = CommandOf(options),
      .kernel_level = std::string(Name(engine::SelectKernels().level)),
      .layer = options.layer,
      .head = options.head};
  const std::string page =
      study::RenderPage(study::PageTemplate(study::Page::kAttention), page_options.title,
                        lab::AttentionPageData(page_options, models));
  WritePage(options.output, page);
  return page.size();
}

void PrintPage(const AttentionOptions& options, const std::vector<Watched>& all,
               size_t page_bytes) {
  fmt::print("{}: {}, one file, works offline\n", options.output, FormatBytes(page_bytes));
  for (const Watched& watched : all) {
    const int64_t block = watched.attention.matrices->block();
    if (block == 1) continue;
    fmt::print("  {}: {} tokens, pooled to blocks of {} so that the page stays small\n",
               watched.path, watched.n_tokens(), block);
  }
  fmt::print("next: open it in a browser; --layer L --head H without -o prints one head's rows\n");
}

void CheckOptions(const AttentionOptions& options) {
  if ((options.layer >= 0) != (options.head >= 0) || (!options.rows.empty() && options.head < 0)) {
    throw Error(ErrorKind::kBadInput, "--layer and --head belong together, --rows needs both");
  }
  if (options.prompt.prompt.empty() && options.prompt.file.empty()) {
    throw Error(ErrorKind::kBadInput, "no text: give one with -p or a file with -f");
  }
  if (!options.title.empty() && options.output.empty()) {
    throw Error(ErrorKind::kBadInput, "--title is the heading of a page: name the page with -o");
  }
  if (!options.output.empty()) CheckPageWritable(options.output);
}

void RunAttention(const AttentionOptions& options) {
  CheckOptions(options);
  const std::vector<Watched> all = WatchAll(options);
  const size_t page_bytes = options.output.empty() ? 0 : WriteAttentionPage(options, all);
  if (options.json) return PrintJson(options, all, page_bytes);
  if (page_bytes > 0) return PrintPage(options, all, page_bytes);
  for (size_t i = 0; i < all.size(); ++i) {
    fmt::print("{}{}: {}, {} tokens\n", i > 0 ? "\n" : "", all[i].path,
               files::FamilyOf(all[i].config()).title, all[i].n_tokens());
    PrintHeads(all[i]);
    PrintSinks(all[i]);
    PrintRows(all[i], options.top);
  }
  if (options.head < 0) {
    fmt::print(
        "\nnext: -o page.html draws all heads; --layer L --head H shows what one head looks at\n");
  }
}

}  // namespace

std::function<void()> AddAttention(CLI::App& app) {
  auto options = std::make_shared<AttentionOptions>();
  app.add_option("-m,--model", options->models,
                 "checkpoint; several, each with its -m, are shown one after another, on a page "
                 "side by side")
      ->required();
  AddPromptOptions(app, options->prompt);
  app.add_option("-o,--output", options->output, "draw all heads on this page, as page.html");
  app.add_option("--title", options->title, "heading of the page");
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
