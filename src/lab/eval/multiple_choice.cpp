#include "lab/eval/multiple_choice.h"

#include <algorithm>

#include "lab/eval/pair_encoder.h"

namespace moescope::lab {
namespace {

// Where the sequences of an item lie among all.
struct Place {
  size_t item = 0, choice = 0;
};

std::string Example(const ChoiceItem& item) {
  const auto answer = static_cast<size_t>(item.answer);
  return item.Context(answer) + item.Continuation(answer) + "\n\n";
}

// What stands before the item's own context, the same for all its choices.
std::string Preamble(const ChoiceTask& task, const ChoiceOptions& options, size_t item) {
  const ChoiceTask& pool = options.examples != nullptr ? *options.examples : task;
  const int64_t own = options.examples != nullptr ? -1 : static_cast<int64_t>(item);
  std::string text = options.description;
  for (size_t place : DrawExamples(options.few_shot, item, pool.items.size(), own)) {
    text += Example(pool.items[place]);
  }
  return text;
}

void Choose(ItemResult& item) {
  for (size_t c = 1; c < item.choices.size(); ++c) {
    const auto at = [&](int choice) { return item.choices[static_cast<size_t>(choice)]; };
    const auto norm = [](const ScoredChoice& choice) {
      return choice.log_likelihood / static_cast<double>(choice.n_bytes);
    };
    if (item.choices[c].log_likelihood > at(item.chosen).log_likelihood) {
      item.chosen = static_cast<int>(c);
    }
    if (norm(item.choices[c]) > norm(at(item.chosen_norm))) item.chosen_norm = static_cast<int>(c);
  }
}

}  // namespace

std::string ChoicePrompt(const ChoiceTask& task, const ChoiceOptions& options, size_t item,
                         size_t choice) {
  return Preamble(task, options, item) + task.items[item].Context(choice);
}

ChoiceResults RunChoices(EvalModel& model, const ChoiceTask& task, const ChoiceOptions& options) {
  const size_t n_items = options.limit > 0
                             ? std::min(task.items.size(), static_cast<size_t>(options.limit))
                             : task.items.size();
  const bool own_examples = options.examples == nullptr;
  CheckFewShot(options.few_shot,
               own_examples ? task.items.size() - 1 : options.examples->items.size(),
               own_examples ? "the task's own other items" : "the file of --dev");
  ChoiceResults results;
  results.items.resize(n_items);
  std::vector<Place> places;
  for (size_t i = 0; i < n_items; ++i) {
    ItemResult& item = results.items[i];
    item.answer = task.items[i].answer;
    item.choices.resize(task.items[i].choices.size());
    for (size_t c = 0; c < item.choices.size(); ++c) {
      item.choices[c].n_bytes =
          std::max<int64_t>(1, static_cast<int64_t>(task.items[i].choices[c].size()));
      places.push_back({i, c});
    }
  }
  PairEncoder encoder(*model.opened.tokenizer,
                      {.bos = options.bos, .context = model.config().context});
  auto make = [&](size_t s, ScoredSequence& sequence) {
    const auto [item, choice] = places[s];
    const ChoiceItem& asked = task.items[item];
    const bool cut = encoder.Encode(ChoicePrompt(task, options, item, choice),
                                    asked.Continuation(choice), asked.where, sequence);
    results.items[item].was_cut = results.items[item].was_cut || cut;
  };
  auto take = [&](const ScoredTokens& scored) {
    const auto [item, choice] = places[scored.sequence];
    ScoredChoice& result = results.items[item].choices[choice];
    for (float loss : scored.losses) result.log_likelihood -= loss;
    result.n_tokens = static_cast<int32_t>(scored.losses.size());
    result.is_greedy = scored.n_greedy() == scored.losses.size();
  };
  results.cost = ScoreSequences(model, places.size(), make, take, /*predictions=*/true);
  for (ItemResult& item : results.items) {
    Choose(item);
    results.n_cut += item.was_cut;
  }
  return results;
}

}  // namespace moescope::lab
