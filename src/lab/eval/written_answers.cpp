#include "lab/eval/written_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/random.h"
#include "engine/generate/generator.h"
#include "lab/eval/answer_number.h"

namespace moescope::lab {
namespace {

using Clock = std::chrono::steady_clock;

std::string Asked(const AnswerItem& item) {
  return "Question: " + item.question + "\nAnswer:";
}

class Answerer {
 public:
  Answerer(EvalModel& model, const AnswerTask& task, const AnswerOptions& options)
      : model_(model), task_(task), options_(options), tokenizer_(*model.opened.tokenizer) {
    Check();
    n_items_ = options.limit > 0 ? std::min(task.items.size(), static_cast<size_t>(options.limit))
                                 : task.items.size();
    for (size_t i = 0; i < n_items_; ++i) prompts_.push_back(Tokens(i));
    generate_.max_tokens = options.max_tokens;
    generate_.stop = options.stop;
    generate_.sampling = options.sampling;
    generate_.end_ids = engine::EndTokens(model.config(), tokenizer_);
  }

  AnswerResults Run() {
    const std::vector<routing::Probe*> probes = model_.changes.probes();
    size_t longest = 0;
    for (const auto& prompt : prompts_) longest = std::max(longest, prompt.size());
    const size_t wanted = longest + static_cast<size_t>(options_.max_tokens);
    const auto context = static_cast<size_t>(model_.config().context);
    engine::Session session(*model_.opened.model, model_.kernels, model_.pool,
                            {.context = static_cast<int>(std::min(wanted, context)),
                             .experts_per_token = model_.changes.experts_per_token(),
                             .memory_bytes = model_.options.memory_bytes,
                             .precision = model_.options.precision});
    ProgressBar progress("eval", n_items_ * static_cast<uint64_t>(options_.n_drawn), "answers");
    AnswerResults results;
    const Clock::time_point start = Clock::now();
    for (size_t i = 0; i < n_items_; ++i) {
      AnswerResult& item = results.items.emplace_back();
      item.number = task_.items[i].number;
      session.Truncate(0);
      for (int j = 0; j < options_.n_drawn; ++j) {
        ThrowIfCancelled();
        item.answers.push_back(Write(session, i, j, probes));
        results.n_tokens += item.answers.back().n_tokens;
        progress.Update(i * static_cast<uint64_t>(options_.n_drawn) + static_cast<uint64_t>(j) + 1);
      }
      Vote(item);
    }
    results.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return results;
  }

 private:
  void Check() const {
    const bool own = options_.examples == nullptr;
    CheckFewShot(options_.few_shot, own ? task_.items.size() - 1 : options_.examples->items.size(),
                 own ? "the task's own other items" : "the file of --dev");
    engine::CheckSampling(options_.sampling);
    if (options_.n_drawn > 1 && options_.sampling.temperature == 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--maj {}: expected a --temperature above 0, so that answers differ, "
                              "found 0",
                              options_.n_drawn));
    }
  }

  std::vector<int32_t> Tokens(size_t item) const {
    text::Encoding encoding;
    tokenizer_.Encode(AnswerPrompt(task_, options_, item), encoding);
    std::vector<int32_t> ids;
    if (options_.bos && tokenizer_.adds_bos()) ids.push_back(tokenizer_.bos_id());
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    const int context = model_.config().context;
    if (static_cast<int64_t>(ids.size()) < context) return ids;
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot ask: {}: expected a prompt below the model's context of {} "
                            "tokens, found {}; lower --few-shot",
                            task_.items[item].where, context, ids.size()));
  }

  WrittenAnswer Write(engine::Session& session, size_t item, int number,
                      std::span<routing::Probe* const> probes) {
    const std::vector<int32_t>& prompt = prompts_[item];
    // Later answers find the prompt in the cache; its last token runs again, for its logits.
    const size_t kept = number == 0 ? 0 : prompt.size() - 1;
    session.Truncate(static_cast<int64_t>(kept));
    generate_.sampling.seed =
        Combine(Combine(options_.sampling.seed, item), static_cast<uint64_t>(number));
    const engine::Generated generated = engine::Generate(
        session, tokenizer_, std::span(prompt).first(kept), std::span(prompt).subspan(kept),
        generate_, [](int32_t, const std::string&) {}, probes);
    return {.text = generated.text,
            .number = MarkedNumber(generated.text),
            .last_number = LastNumber(generated.text),
            .n_tokens = static_cast<int64_t>(generated.ids.size())};
  }

  static void Vote(AnswerResult& item) {
    std::vector<std::string> numbers, last_numbers;
    for (const WrittenAnswer& answer : item.answers) {
      numbers.push_back(answer.number);
      last_numbers.push_back(answer.last_number);
    }
    item.majority = Majority(numbers);
    item.last_majority = Majority(last_numbers);
  }

  EvalModel& model_;
  const AnswerTask& task_;
  const AnswerOptions& options_;
  const text::Tokenizer& tokenizer_;
  size_t n_items_ = 0;
  std::vector<std::vector<int32_t>> prompts_;
  engine::GenerateOptions generate_;
};

}  // namespace

std::string AnswerPrompt(const AnswerTask& task, const AnswerOptions& options, size_t item) {
  const AnswerTask& pool = options.examples != nullptr ? *options.examples : task;
  const int64_t own = options.examples != nullptr ? -1 : static_cast<int64_t>(item);
  std::string text = options.description;
  for (size_t place : DrawExamples(options.few_shot, item, pool.items.size(), own)) {
    text += Asked(pool.items[place]) + " " + pool.items[place].solution + "\n\n";
  }
  return text + Asked(task.items[item]);
}

std::string Majority(const std::vector<std::string>& texts) {
  std::string most;
  int64_t best = 0;
  for (const std::string& text : texts) {
    const int64_t n = std::count(texts.begin(), texts.end(), text);
    if (text.empty() || n <= best) continue;
    best = n;
    most = text;
  }
  return most;
}

AnswerResults RunAnswers(EvalModel& model, const AnswerTask& task, const AnswerOptions& options) {
  return Answerer(model, task, options).Run();
}

}  // namespace moescope::lab
