// A context and what goes on from it, as the tokens of a scored sequence.
#pragma once

#include <string>

#include "lab/eval/sequence_scorer.h"
#include "text/tokenizer.h"

namespace moescope::lab {

struct PairOptions {
  bool bos = true;  // BOS first, where the model's tokenizer puts one
  int context = 0;  // positions at most
};

// Immutable; not thread-safe (one buffer).
class PairEncoder {
 public:
  // The tokenizer must outlive it.
  PairEncoder(const text::Tokenizer& tokenizer, const PairOptions& options)
      : tokenizer_(tokenizer), options_(options) {}

  // Both together are tokenised as one text; what is scored are the tokens beyond as many as the
  // context alone has, at least one. Blanks at the end of the context go with what follows. Where
  // both are longer than the context of the model, tokens after BOS are cut: then true. An empty
  // context without BOS has the token that ends texts before it.
  // `where` begins the message of an Error(kBadInput) for a continuation that is empty, too long,
  // or has nothing before it.
  bool Encode(const std::string& context, const std::string& continuation, const std::string& where,
              ScoredSequence& out);

 private:
  const text::Tokenizer& tokenizer_;
  PairOptions options_;
  text::Encoding encoding_;
};

}  // namespace moescope::lab
