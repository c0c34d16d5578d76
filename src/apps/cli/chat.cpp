// moescope chat: a conversation, line by line, through the model's chat template.
#include "lab/chat.h"
#include "lab/precision_note.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/generation_options.h"
#include "apps/cli/weight_stats.h"
#include "base/cancellation.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/precision_note.h"
#include "lab/text_model.h"

namespace moescope::cli {
namespace {

struct ChatOptions {
  GenerationOptions generation;
  std::string system;
  bool json = false;
};

// The conversation and the session that has run the beginning of it.
class Chat {
 public:
  explicit Chat(const ChatOptions& options)
      : options_(options),
        opened_(lab::OpenTextModel(options.generation.model, options.generation.Model())),
        template_(lab::OpenChatTemplate(opened_)),
        pool_(options.generation.n_threads),
        changes_(options.generation.changes.Changes(), *opened_.model, lab::Setting::kSession),
        session_(*opened_.model, engine::SelectKernels(), pool_,
                 options.generation.Session(opened_.model->config())) {
    lab::PrintPrecisionNote(*opened_.model, options.generation.Precision());
    engine::CheckSampling(options.generation.generate.sampling);
    Clear();
  }

  void Run() {
    const bool is_terminal = isatty(STDIN_FILENO) != 0;
    if (is_terminal)
      fmt::print(stderr, "/clear forgets, /exit or Ctrl-D ends, Ctrl-C interrupts\n");
    for (std::string line; Read(is_terminal, line);) {
      if (line == "/exit") break;
      if (line == "/clear") {
        Clear();
      } else if (!line.empty()) {
        Answer(line, is_terminal);
      }
    }
    if (options_.json) PrintJson();
    PrintChanges(changes_);
    if (options_.generation.stats) PrintStats();
  }

 private:
  static bool Read(bool is_terminal, std::string& line) {
    if (is_terminal) fmt::print(stderr, "> ");
    return static_cast<bool>(std::getline(std::cin, line));
  }

  void Clear() {
    turns_.clear();
    if (!options_.system.empty()) turns_.push_back({"system", options_.system});
  }

  // What the conversation has in common with what was run stays; the rest is run.
  std::vector<int32_t> Rest(const std::vector<int32_t>& ids) {
    size_t common = 0;
    while (common < run_.size() && common + 1 < ids.size() && run_[common] == ids[common]) ++common;
    session_.Truncate(std::min<int64_t>(static_cast<int64_t>(common), session_.length()));
    run_.resize(static_cast<size_t>(session_.length()));
    return {ids.begin() + static_cast<ptrdiff_t>(run_.size()), ids.end()};
  }

  void Answer(const std::string& line, bool is_terminal) {
    turns_.push_back({"user", line});
    engine::GenerateOptions generate = options_.generation.generate;
    generate.sampling.seed += turns_.size();  // another draw each turn
    if (!options_.generation.ignore_end) {
      generate.end_ids = engine::EndTokens(opened_.model->config(), *opened_.tokenizer);
    }
    std::string text;
    try {
      const std::vector<int32_t> rest = Rest(lab::TokeniseChat(opened_, *template_, turns_));
      const engine::Generated result = engine::Generate(
          session_, *opened_.tokenizer, run_, rest, generate,
          [&](int32_t, const std::string& piece) {
            text += piece;
            if (options_.json) return;
            std::fwrite(piece.data(), 1, piece.size(), stdout);
            std::fflush(stdout);
          },
          changes_.probes());
      n_written_ += result.ids.size();
      seconds_ += result.seconds;
      run_.insert(run_.end(), rest.begin(), rest.end());
      run_.insert(run_.end(), result.ids.begin(), result.ids.end());
    } catch (const Error& error) {
      // On a terminal an interrupted or refused turn is not the end of the conversation.
      const bool goes_on =
          error.kind() == ErrorKind::kCancelled || error.kind() == ErrorKind::kBadInput;
      if (!is_terminal || !goes_on) throw;
      ClearCancellation();
      fmt::print(stderr, "\n{}\n", error.what());
    }
    run_.resize(static_cast<size_t>(
        std::min<int64_t>(session_.length(), static_cast<int64_t>(run_.size()))));
    turns_.push_back({"assistant", text});
    if (!options_.json) fmt::print("\n");
  }

  void PrintStats() const {
    fmt::print(stderr, "written {} tokens, {:.1f}/s\n{}", FormatCount(n_written_),
               seconds_ > 0 ? static_cast<double>(n_written_) / seconds_ : 0,
               WeightStatsText(*opened_.model));
  }

  void PrintJson() const {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const lab::ChatTurn& turn : turns_) {
      rows.push_back({{"role", turn.role}, {"content", turn.content}});
    }
    const nlohmann::ordered_json answer = {{"rows", rows},
                                           {"model", opened_.model->checkpoint().Identity()},
                                           {"precision", Name(options_.generation.Precision())},
                                           {"kv", options_.generation.kv},
                                           {"kernel_level", Name(engine::SelectKernels().level)},
                                           {"interventions", changes_.written()}};
    fmt::print("{}\n", answer.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  const ChatOptions& options_;
  lab::TextModel opened_;
  std::shared_ptr<const text::ChatTemplate> template_;
  ThreadPool pool_;
  lab::PlannedChanges changes_;
  engine::Session session_;
  std::vector<lab::ChatTurn> turns_;
  std::vector<int32_t> run_;  // tokens the session holds
  size_t n_written_ = 0;
  double seconds_ = 0;
};

}  // namespace

std::function<void()> AddChat(CLI::App& app) {
  auto options = std::make_shared<ChatOptions>();
  options->generation.generate.max_tokens = 512;
  AddGenerationOptions(app, options->generation);
  app.add_option("--system", options->system, "a system message at the beginning");
  app.add_flag("--json", options->json, "print the whole conversation as JSON at the end");
  return [options] { Chat(*options).Run(); };
}

}  // namespace moescope::cli
