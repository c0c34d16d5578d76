// The way of a BPE vocabulary from text to tokens: added tokens, normaliser, pre-tokeniser,
// merging. The algorithm: docs/tokenizers.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/vocabulary.h"
#include "text/added_tokens.h"
#include "text/bpe_tables.h"
#include "text/merger.h"
#include "text/normaliser.h"
#include "text/pattern_scanner.h"
#include "text/regex_matcher.h"
#include "text/tokenizer.h"
#include "text/word_cache.h"

namespace moescope::text {

// A step of the pre-tokeniser with what it needs.
struct CutStep {
  // Throws Error(kUnsupported) for an expression that cannot be used.
  explicit CutStep(const files::PreTokeniserStep& step);

  files::PreTokeniserStep step;
  std::optional<PatternScanner> scanner;
  std::shared_ptr<const RegexMatcher> regex;
  Normaliser changed{{}};           // spaces replaced
  Normaliser changed_prefixed{{}};  // and a prefix put before
};

// What happens to a text before merging, for one choice of prefix. Immutable and thread-safe.
struct BpePipeline {
  explicit BpePipeline(const files::Vocabulary& vocabulary);

  AddedTokens tokens;             // found in the text as it is
  AddedTokens normalised_tokens;  // found in the normalised text
  Normaliser normaliser;
  std::vector<CutStep> steps;
};

// Memory an encoding works in, kept for the next one.
struct BpeScratch {
  explicit BpeScratch(const BpeTables& tables) : merger(tables.pairs()) {}
  // Bytes that would stay allocated.
  size_t capacity() const;

  WordCache cache;
  Merger merger;
  std::vector<int32_t> symbols;
  std::vector<uint32_t> unit_ends, lengths;
  RegexMatcher::Workspace regex;
  NormalisedText normalised;
  std::vector<std::unique_ptr<NormalisedText>> changed;  // by step
};

// Replaces `out` by the first `max_tokens` tokens of `text`. Requires: text.size() < 2^32.
// Throws Error(kBadInput) where an expression takes more steps than its limit.
void EncodeBpe(const BpeTables& tables, const BpePipeline& pipeline, BpeScratch& scratch,
               std::string_view text, bool specials, size_t max_tokens, Encoding& out);

}  // namespace moescope::text
