// Perplexity of documents: windows that overlap, so that every token is predicted with enough text
// before it and counts once; and the same tokens predicted with more and less text before them.
// Definitions: docs/evaluation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/eval/sequence_scorer.h"
#include "text/document.h"
#include "text/sequences.h"

namespace moescope::lab {

struct PerplexityOptions {
  std::vector<text::DataSpec> data;
  text::SequencePolicy policy;  // chunk is not used: documents stay whole
  int window = 0;               // tokens; 0: the model's context
  int stride = 0;               // scored in each window; 0: half of the (shortest) window
  // Windows of these lengths over the same targets; empty: `window` over all of each document.
  std::vector<int> lengths;
};

// A window [begin, end) of a document's tokens of which the last `n_scored` count.
struct Window {
  int64_t begin = 0, end = 0, n_scored = 0;
  bool operator==(const Window&) const = default;
};
// Every token but the first counts once, with at least window - stride tokens before it where the
// document has them. The first window counts all it has. Requires: 1 <= stride < window.
std::vector<Window> CoverDocument(int64_t n_tokens, int window, int stride);
// Windows of `length` that end where those of `longest` do, each counting its last `stride`: the
// same targets for every length. Empty for a document shorter than `longest`.
// Requires: 1 <= stride < length <= longest.
std::vector<Window> CoverTargets(int64_t n_tokens, int length, int longest, int stride);

// What one document says at one length.
struct DocumentLoss {
  int32_t document = 0;  // into Perplexity::documents
  int32_t length = 0;    // into Perplexity::lengths
  int64_t predictions = 0, bytes = 0;
  double loss = 0;  // sum, nats
};
struct EvaluatedDocument {
  std::string dataset, source, unit;
  int64_t n_tokens = 0;
};

struct Perplexity {
  std::vector<EvaluatedDocument> documents;
  std::vector<int> lengths;  // of windows; one where no others were asked for
  int stride = 0;
  std::vector<DocumentLoss> losses;  // document by document, only those with a prediction
  int64_t n_tokens = 0;
  int64_t n_too_short = 0;  // documents without a target
  ScoreCost cost;
};

// Throws Error(kBadInput) for a window, stride or length outside its range, naming it; text without
// a token to predict; lengths that no document has, or beyond positions a model has learned.
Perplexity RunPerplexity(EvalModel& model, const PerplexityOptions& options,
                         const text::ParquetOpener& open_parquet = nullptr);

}  // namespace moescope::lab
