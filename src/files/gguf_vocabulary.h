// The tokenizer inside a GGUF file.
#pragma once

#include "files/gguf.h"
#include "files/gguf_keys.h"
#include "files/vocabulary.h"

namespace moescope::files {

// The vocabulary of tokenizer.ggml.model `llama`.
// Throws Error(kBadInput), Error(kCorrupt) naming the key or piece.
Vocabulary ReadGgufVocabulary(const GgufKeys& keys, const GgufFile& file);

}  // namespace moescope::files
