// A SentencePiece vocabulary as the tokenizer.model that other tools read.
#pragma once

#include <string>

#include "files/vocabulary.h"

namespace moescope::files {

// The protobuf: pieces, and of the trainer's and the normaliser's specification what
// ParseSentencePieceModel reads; that gives back an equal vocabulary.
// Requires: `vocabulary` came from a reader, so it is within its limits.
// Source: sentencepiece_model.proto of SentencePiece; protobuf wire format.
std::string WriteSentencePieceModel(const Vocabulary& vocabulary);

}  // namespace moescope::files
