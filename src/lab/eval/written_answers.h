// Questions answered by writing: the number at the end of what a model writes is the right one, or
// it is not; once greedily, or by the majority of several drawn answers. docs/evaluation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/generate/sampler.h"
#include "lab/eval/few_shot.h"
#include "lab/eval/sequence_scorer.h"
#include "lab/eval/task_file.h"

namespace moescope::lab {

struct AnswerOptions {
  FewShot few_shot;
  const AnswerTask* examples = nullptr;  // null: the task's own other items
  std::string description;
  bool bos = true;
  int64_t limit = 0;  // items from the start; 0: all
  int n_drawn = 1;    // answers of each item; more than one wants a temperature above 0
  int max_tokens = 256;
  std::vector<std::string> stop = {"Question:", "</s>", "<|im_end|>"};
  engine::SamplingOptions sampling;  // its seed begins those of all answers
};

struct WrittenAnswer {
  std::string text;
  std::string number;       // after "####"; "": none
  std::string last_number;  // the last one of the text
  int64_t n_tokens = 0;
};
struct AnswerResult {
  std::vector<WrittenAnswer> answers;
  std::string number;  // that is right
  // The number most answers end with, the first met of several; "" when none has one.
  std::string majority, last_majority;
};
struct AnswerResults {
  std::vector<AnswerResult> items;
  int64_t n_tokens = 0;  // written
  double seconds = 0;
};

std::string AnswerPrompt(const AnswerTask& task, const AnswerOptions& options, size_t item);

// Each item is a session of its own; the prompt is run once for all its answers. Answer j of item i
// is drawn with a seed made of the given one, i and j. Throws Error(kBadInput) as CheckFewShot,
// CheckSampling, for several answers without a temperature, and for a prompt that leaves no room;
// as Session, Generate.
AnswerResults RunAnswers(EvalModel& model, const AnswerTask& task, const AnswerOptions& options);

// The text most of them are, the first met of several; empty ones do not count.
std::string Majority(const std::vector<std::string>& texts);

}  // namespace moescope::lab
