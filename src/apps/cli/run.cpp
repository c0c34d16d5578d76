// moescope run: a text that goes on from a prompt, if asked with each token on the colour of its
// expert.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/command.h"
#include "apps/cli/generation_options.h"
#include "apps/cli/profile_options.h"
#include "apps/cli/prompt_options.h"
#include "apps/cli/weight_stats.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/chat.h"
#include "lab/precision_note.h"
#include "lab/route_watcher.h"
#include "lab/text_model.h"
#include "study/figures/coloured_token.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

struct RunOptions {
  GenerationOptions generation;
  PromptOptions prompt;
  ProfileOptions profile;
  std::string colour = "auto";
  std::string system;
  bool chat = false, routes = false, no_echo = false, json = false;
  int layer = -1;  // -1: the middle one
};

bool UseColour(const std::string& wanted) {
  const char* refused = std::getenv("NO_COLOR");
  if (wanted != "auto") return wanted == "always";
  return isatty(STDOUT_FILENO) != 0 && (refused == nullptr || *refused == '\0');
}

// Prints tokens as they come. With routes a token waits for the next one, since its own routes are
// known once it has been run.
class Printer {
 public:
  Printer(const RunOptions& options, const lab::RouteWatcher* watcher, int layer, int n_experts)
      : watcher_(watcher), layer_(layer), silent_(options.json) {
    mark_.colour = UseColour(options.colour);
    mark_.with_number = n_experts > 8;
  }
  // Position 0 and on, without gaps.
  void Add(const std::string& text) {
    if (silent_) return;
    if (watcher_ == nullptr) {
      Write(text);
    } else {
      waiting_.push_back(text);
    }
  }
  // Everything before `position` has been run.
  void PrintUpTo(int64_t position) {
    for (; !waiting_.empty() && printed_ < position; ++printed_) {
      mark_.expert = watcher_->Experts(layer_, printed_)[0];
      const bool dropped = mark_.expert < 0;
      Write(dropped ? waiting_.front() : study::MarkText(waiting_.front(), mark_));
      waiting_.erase(waiting_.begin());
    }
  }
  // Ends the line, also before the message of an error.
  ~Printer() {
    if (!silent_) Write("\n");
  }
  void PrintRest() {
    for (const std::string& text : waiting_) Write(text);
    waiting_.clear();
  }

 private:
  static void Write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  const lab::RouteWatcher* watcher_;
  int layer_;
  bool silent_;
  study::ExpertMark mark_;
  std::vector<std::string> waiting_;
  int64_t printed_ = 0;
};

// One call of the command: what is opened, then what is printed.
class Runner {
 public:
  explicit Runner(const RunOptions& options)
      : options_(options),
        opened_(lab::OpenTextModel(options.generation.model, options.generation.Model())),
        pool_(options.generation.n_threads),
        kernels_(engine::SelectKernels()),
        profile_(options.profile.Make(options.generation.n_threads)),
        changes_(options.generation.changes.Changes(), *opened_.model, lab::Setting::kSession),
        session_(*opened_.model, kernels_, pool_,
                 options.generation.Session(opened_.model->config(), profile_.get())) {
    lab::PrintPrecisionNote(*opened_.model, options.generation.Precision());
    if (!options.routes) return;
    const files::ModelConfig& config = opened_.model->config();
    if (config.dense()) {
      throw Error(ErrorKind::kBadInput,
                  "--routes: the model is dense: it has no experts to choose from");
    }
    layer_ = options.layer >= 0 ? options.layer : config.n_layers / 2;
    if (layer_ >= config.n_layers) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--layer: expected 0 to {}, found {}", config.n_layers - 1, layer_));
    }
    routing::RouterDescription router = opened_.model->router();
    router.experts_per_token = changes_.experts_per_token();
    watcher_.emplace(router, config.n_layers, session_.capacity());
  }

  void Run() {
    const std::vector<int32_t> prompt = Tokenise();
    engine::GenerateOptions generate = options_.generation.generate;
    if (!options_.generation.ignore_end) {
      generate.end_ids = engine::EndTokens(opened_.model->config(), *opened_.tokenizer);
    }
    engine::Generated result;
    {
      Printer printer(options_, watcher_ ? &*watcher_ : nullptr, layer_,
                      opened_.model->config().n_experts);
      const bool echo = !options_.no_echo && !options_.chat;
      text::StreamingDecoder decoder(*opened_.tokenizer);
      for (int32_t id : prompt) {
        const std::string text = decoder.Push(id);
        printer.Add(echo ? text : "");
      }
      std::vector<routing::Probe*> probes = changes_.probes();
      if (watcher_) probes.push_back(&*watcher_);
      result = engine::Generate(
          session_, *opened_.tokenizer, {}, prompt, generate,
          [&](int32_t, const std::string& text) {
            printer.PrintUpTo(session_.length());
            printer.Add(text);
          },
          probes);
      RunLastToken(result, probes);
      printer.PrintUpTo(session_.length());
      printer.PrintRest();
    }
    std::vector<lab::ProfileRow> profile;
    if (profile_) {
      profile = FinishProfile(options_.profile, *profile_, opened_.model->checkpoint(),
                              options_.generation.Precision());
    }
    options_.json ? PrintJson(prompt, result, profile) : PrintSummary(prompt, result, profile);
  }

 private:
  std::vector<int32_t> Tokenise() const {
    if (!options_.chat) return TokenisePrompt(options_.prompt, opened_);
    std::vector<lab::ChatTurn> turns;
    if (!options_.system.empty()) turns.push_back({"system", options_.system});
    turns.push_back({"user", ReadPrompt(options_.prompt)});
    return lab::TokeniseChat(opened_, *lab::OpenChatTemplate(opened_), turns);
  }

  // So that its routes are known too.
  void RunLastToken(const engine::Generated& result, std::span<routing::Probe* const> probes) {
    const bool has_room = session_.length() < session_.capacity();
    if (watcher_ && !result.ids.empty() && has_room) {
      session_.Decode(result.ids.back(), probes);
    }
  }

  ordered_json TokenJson(int32_t id, int64_t position) const {
    ordered_json token = {
        {"position", position}, {"token_id", id}, {"text", opened_.tokenizer->TokenText(id)}};
    if (!watcher_ || position >= session_.length()) return token;
    ordered_json experts = ordered_json::array(), weights = ordered_json::array();
    for (int layer = 0; layer < opened_.model->config().n_layers; ++layer) {
      ordered_json slots = ordered_json::array();  // null: dropped
      for (int16_t expert : watcher_->Experts(layer, position)) {
        slots.push_back(expert < 0 ? ordered_json() : ordered_json(expert));
      }
      experts.push_back(slots);
      weights.push_back(watcher_->Weights(layer, position));
    }
    token["experts"] = experts;  // [layer][slot]
    token["weights"] = weights;
    return token;
  }

  static double Rate(size_t n, double seconds) {
    return seconds > 0 ? static_cast<double>(n) / seconds : 0;
  }

  void PrintJson(const std::vector<int32_t>& prompt, const engine::Generated& result,
                 const std::vector<lab::ProfileRow>& profile) const {
    ordered_json rows = ordered_json::array();
    int64_t position = 0;
    for (int32_t id : prompt) {
      rows.push_back(TokenJson(id, position++));
      rows.back()["generated"] = false;
    }
    for (int32_t id : result.ids) {
      rows.push_back(TokenJson(id, position++));
      rows.back()["generated"] = true;
    }
    const engine::SamplingOptions& sampling = options_.generation.generate.sampling;
    ordered_json answer = {{"rows", rows},
                           {"text", result.text},
                           {"end", Name(result.end)},
                           {"prompt_tokens", prompt.size()},
                           {"tokens", result.ids.size()},
                           {"prompt_tokens_per_s", Rate(prompt.size(), result.prompt_seconds)},
                           {"tokens_per_s", Rate(result.ids.size(), result.seconds)},
                           {"temperature", sampling.temperature},
                           {"seed", sampling.seed},
                           {"model", opened_.model->checkpoint().Identity()},
                           {"precision", Name(options_.generation.Precision())},
                           {"kv", options_.generation.kv},
                           {"kernel_level", Name(kernels_.level)},
                           {"interventions", changes_.written()}};
    if (options_.generation.stats) {
      for (const auto& [name, number] : WeightStats(*opened_.model)) {
        std::visit([&, &key = name](auto value) { answer["stats"][key] = value; }, number);
      }
    }
    if (!profile.empty()) answer["profile"] = ProfileJson(profile);
    fmt::print("{}\n", answer.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  void PrintSummary(const std::vector<int32_t>& prompt, const engine::Generated& result,
                    const std::vector<lab::ProfileRow>& profile) const {
    fmt::print(stderr, "\nprompt {} tokens, {:.1f}/s; written {}, {:.1f}/s; ended by {}\n",
               FormatCount(prompt.size()), Rate(prompt.size(), result.prompt_seconds),
               FormatCount(result.ids.size()), Rate(result.ids.size(), result.seconds),
               Name(result.end));
    if (options_.generation.stats) {
      fmt::print(stderr, "{}", WeightStatsText(*opened_.model));
    }
    PrintChanges(changes_);
    if (watcher_) fmt::print(stderr, "colours: first choice at layer {}\n", layer_);
    if (!profile.empty()) fmt::print(stderr, "\n{}", FormatProfile(profile));
  }

  const RunOptions& options_;
  lab::TextModel opened_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  std::unique_ptr<engine::Profile> profile_;
  lab::PlannedChanges changes_;
  engine::Session session_;
  int layer_ = 0;
  std::optional<lab::RouteWatcher> watcher_;
};

}  // namespace

std::function<void()> AddRun(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  AddGenerationOptions(app, options->generation);
  AddPromptOptions(app, options->prompt);
  app.add_flag("--chat", options->chat,
               "the prompt is a message: the model's chat template is used");
  app.add_option("--system", options->system, "with --chat: a system message before it");
  app.add_flag("--routes", options->routes, "each token on the colour of its first choice");
  app.add_option("--layer", options->layer, "the layer of --routes (default: the middle one)")
      ->check(CLI::Range(0, 1023));
  app.add_option("--color,--colour", options->colour,
                 "auto, always or never; NO_COLOR is respected")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  AddProfileOptions(app, options->profile);
  app.add_flag("--no-echo", options->no_echo, "leave the prompt out of the output");
  app.add_flag("--json", options->json, "print JSON, with --routes all layers of every token");
  return [options] { Runner(*options).Run(); };
}

}  // namespace moescope::cli
