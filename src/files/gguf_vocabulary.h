// The tokenizer inside a GGUF file, read and written.
#pragma once

#include <memory>
#include <string>

#include "files/gguf.h"
#include "files/gguf_keys.h"
#include "files/gguf_writer.h"
#include "files/vocabulary.h"

namespace moescope::files {

// Of tokenizer.ggml.model `llama` (SentencePiece) and `gpt2` (byte-level BPE, cut as
// tokenizer.ggml.pre names it). Null for other kinds and names: `note` then says why.
// Throws Error(kBadInput), Error(kCorrupt) naming the key or piece.
std::shared_ptr<const Vocabulary> ReadGgufVocabulary(const GgufKeys& keys, const GgufFile& file,
                                                     std::string& note);

// Writes a BPE vocabulary as `gpt2`, filled up to `n_rows` pieces. Returns why that cannot be,
// having written nothing: not byte-level, or with steps that no tokenizer.ggml.pre names. "" if it
// was.
std::string AddGgufBpeVocabulary(const Vocabulary& vocabulary, int n_rows, GgufWriter& writer);

}  // namespace moescope::files
