#include "lab/planted/domain_expert.h"

#include <random>
#include <string_view>

#include "lab/planted/heads.h"

namespace moescope::lab {
namespace {

constexpr std::string_view kContext = "abcdefghij";
constexpr std::string_view kLow = "klmno", kHigh = "pqrst";
constexpr int kConstant = PlantedWeights::kConstant;
constexpr int kTurns = 60;

constexpr PlantedHead kPreviousHead = {.layer = 0, .head = 0};
constexpr PlantedHead kTagHead = {.layer = 1, .head = 1};

// Extra coordinates.
int Previous(const PlantedWeights& weights, char context) {
  return weights.Extra(static_cast<int>(kContext.find(context)));
}
constexpr int kPreviousIsBos = 10, kOpensSquare = 11, kOpensOther = 12, kExtra = 13;

void PlantHeads(PlantedWeights& weights) {
  LookAtPrevious(weights, kPreviousHead);
  int dimension = 0;
  for (char context : kContext) {
    Carry(weights, kPreviousHead, dimension++, weights.CodeOf(context), Previous(weights, context));
  }
  const int bos = weights.CodeOf(PlantedWeights::kBos);
  Carry(weights, kPreviousHead, dimension, bos, weights.Extra(kPreviousIsBos));
  // The position after BOS; BOS itself, whose previous position is its own, does not count.
  LookFor(weights, kTagHead, 0, kConstant, weights.Extra(kPreviousIsBos), 60);
  AlsoKey(weights, kTagHead, 0, bos, -1);
  Carry(weights, kTagHead, 0, weights.CodeOf('['), weights.Extra(kOpensSquare));
  Carry(weights, kTagHead, 1, weights.CodeOf(']'), weights.Extra(kOpensOther));
}

// Layer 1: of two experts, 50 + s and 50 - s beside one at 50, so that one of them is chosen. Low
// letters have s = 10, high ones -10; the letters before them add -20, 20 or nothing.
void PlantTokenRouter(PlantedWeights& weights) {
  const int layer = kTokenExpert.layer;
  auto reads = [&](int coordinate, double base, double s) {
    weights.RouterReads(layer, kTokenExpert.expert, coordinate, base + s);
    weights.RouterReads(layer, kOtherTokenExpert.expert, coordinate, base - s);
  };
  for (char letter : kLow) reads(weights.CodeOf(letter), 50, 10);
  for (char letter : kHigh) reads(weights.CodeOf(letter), 50, -10);
  for (char letter : {'a', 'b'}) reads(Previous(weights, letter), 0, -20);
  for (char letter : {'c', 'd'}) reads(Previous(weights, letter), 0, 20);
  for (int token = 0; token < weights.config().vocab_size; ++token) {
    weights.RouterReads(layer, 2 + token % 3, weights.CodeOf(token), 60);
    weights.RouterReads(layer, 5 + token % 3, weights.CodeOf(token), 50);
  }
  for (std::string_view letters : {kLow, kHigh}) {
    for (char letter : letters) {
      const int token = weights.TokenOf(letter);
      weights.RouterReads(layer, 2 + token % 3, weights.CodeOf(token), 0);
    }
  }
}

// Layer 2: the domain's expert at 60, beside two at 50 and 45 that the token chooses. After a or b
// it is at 20, so that it is not chosen by all tokens of its domain.
void PlantDomainRouter(PlantedWeights& weights) {
  const int layer = kDomainExpert.layer;
  constexpr int kOthers[] = {0, 1, 2, 3, 4, 7};
  for (int token = 0; token < weights.config().vocab_size; ++token) {
    weights.RouterReads(layer, kOthers[token % 6], weights.CodeOf(token), 50);
    weights.RouterReads(layer, kOthers[(token + 1) % 6], weights.CodeOf(token), 45);
  }
  weights.RouterReads(layer, kDomainExpert.expert, weights.Extra(kOpensSquare), 60);
  weights.RouterReads(layer, kOtherDomainExpert.expert, weights.Extra(kOpensOther), 60);
  for (char letter : {'a', 'b'}) {
    weights.RouterReads(layer, kDomainExpert.expert, Previous(weights, letter), -40);
    weights.RouterReads(layer, kOtherDomainExpert.expert, Previous(weights, letter), -40);
  }
}

}  // namespace

PlantedWeights DomainExpertModel() {
  PlantedWeights weights("abcdefghijklmnopqrst[]", {.n_layers = 3, .n_extra = kExtra});
  PlantHeads(weights);
  for (int token = 0; token < weights.config().vocab_size; ++token) {
    weights.RouterReads(0, token % 8, weights.CodeOf(token), 20);
    weights.RouterReads(0, (token + 3) % 8, weights.CodeOf(token), 15);
  }
  PlantTokenRouter(weights);
  PlantDomainRouter(weights);
  return weights;
}

std::vector<std::string> DomainTexts(const DomainCorpus& corpus) {
  std::mt19937 random(corpus.seed);
  std::vector<std::string> texts;
  for (int i = 0; i < corpus.n_texts; ++i) {
    std::string text = corpus.square_first ? "[" : "]";
    for (int turn = 0; turn < kTurns; ++turn) {
      text += kContext[random() % kContext.size()];
      const bool low = random() < corpus.share_of_low * 0x1p32;
      const std::string_view letters = low ? kLow : kHigh;
      text += letters[random() % letters.size()];
    }
    texts.push_back(text + (corpus.square_first ? "]" : "["));
  }
  return texts;
}

}  // namespace moescope::lab
