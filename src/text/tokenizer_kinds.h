// The kinds of tokenizer behind MakeTokenizer.
#pragma once

#include <memory>

#include "text/tokenizer.h"

namespace moescope::text {

// Requires: a vocabulary of that kind that passes CheckVocabulary.
std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(
    std::shared_ptr<const files::Vocabulary> vocabulary);
std::unique_ptr<Tokenizer> MakeBpeTokenizer(std::shared_ptr<const files::Vocabulary> vocabulary);

}  // namespace moescope::text
