// Passkeys: a key somewhere in a long text without meaning, asked for at the end. A grid of length
// and depth, with two controls: no key in the text, and a second number that was not asked for.
// docs/evaluation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/eval/sequence_scorer.h"

namespace moescope::lab {

// The text, "{key}" being the digits. Pieces are tokenised one by one and joined as tokens, so that
// lengths are exact.
struct PasskeyText {
  std::string intro =
      "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. "
      "I will quiz you about the important information there.\n";
  std::string filler =
      "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ";
  std::string needle = "The pass key is {key}. Remember it. {key} is the pass key. ";
  std::string decoy = "The number of the house is {key}. Remember it. {key} is the house. ";
  std::string question = "\nWhat is the pass key? The pass key is";
  std::string answer = " {key}";  // what has to follow
};

struct PasskeyOptions {
  std::vector<int> lengths;    // tokens of BOS, prompt and answer together
  std::vector<double> depths;  // 0: the key right after the intro; 1: right before the question
  int n_keys = 20;             // of each cell
  int n_digits = 5;            // of a key, all different
  uint64_t seed = 1;
  bool bos = true;
  PasskeyText text;
};

enum class PasskeyCondition { kKey, kKeyless, kDecoy };
std::string_view Name(PasskeyCondition condition);  // "key", "keyless", "decoy"

// One prompt, answered greedily.
struct PasskeyTrial {
  int length = 0;
  double depth = 0;
  PasskeyCondition condition = PasskeyCondition::kKey;
  std::string key, decoy;    // the decoy of its condition alone
  int64_t key_position = 0;  // tokens before the needle (where it would be)
  int32_t n_tokens = 0;      // of the answer
  int32_t n_right = 0;       // from the first on
  bool exact = false;        // all of them
  bool took_decoy = false;   // the answer is the decoy
};

struct Passkeys {
  std::vector<PasskeyTrial> trials;  // by length, depth, key, condition
  ScoreCost cost;
};

// Greedy answers by teacher forcing: they are the key if and only if, after the prompt and after
// each right token, the likeliest token is the next one. So all cells go through the engine in
// waves. Throws Error(kBadInput) naming an option out of range: a length that the pieces do not fit
// in, or beyond learned positions; fewer than 20 keys; a piece without "{key}".
Passkeys RunPasskeys(EvalModel& model, const PasskeyOptions& options);

}  // namespace moescope::lab
