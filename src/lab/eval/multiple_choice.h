// Questions with given answers: the answer whose text the model finds likeliest. Formulas and
// prompts: docs/evaluation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/eval/few_shot.h"
#include "lab/eval/sequence_scorer.h"
#include "lab/eval/task_file.h"

namespace moescope::lab {

struct ChoiceOptions {
  FewShot few_shot;
  // Examples come from here; null: from the task itself, never the item that is asked.
  const ChoiceTask* examples = nullptr;
  std::string description = {};  // before everything, as it is
  bool bos = true;
  int64_t limit = 0;  // items from the start; 0: all
};

struct ScoredChoice {
  double log_likelihood = 0;  // of its tokens, nats
  int32_t n_tokens = 0;
  int64_t n_bytes = 0;     // of its text, without the delimiter
  bool is_greedy = false;  // each token was the likeliest
};

struct ItemResult {
  std::vector<ScoredChoice> choices;
  int answer = 0;
  int chosen = 0;        // the largest log-likelihood; ties to the first
  int chosen_norm = 0;   // the largest log-likelihood / n_bytes
  bool was_cut = false;  // the prompt did not fit
};

struct ChoiceResults {
  std::vector<ItemResult> items;
  ScoreCost cost;
  int64_t n_cut = 0;
};

// The prompt of item i, for each choice: what ChoiceResults are of, for tests and --show.
std::string ChoicePrompt(const ChoiceTask& task, const ChoiceOptions& options, size_t item,
                         size_t choice);

// Throws Error(kBadInput) as CheckFewShot and PairEncoder, and as ScoreSequences.
ChoiceResults RunChoices(EvalModel& model, const ChoiceTask& task, const ChoiceOptions& options);

}  // namespace moescope::lab
