// A model's configuration and vocabulary as GGUF metadata: the way back from gguf_config.cpp and
// gguf_vocabulary.cpp.
#pragma once

#include <string>

#include "files/gguf_writer.h"
#include "files/model_config.h"
#include "files/vocabulary.h"

namespace moescope::files {

// Keys as llama.cpp's converter writes them; `dtype` is that of most weights. Keys that older files
// do not have are written only where the value is not the usual one. kLlama3 has no key: such a
// model is written as kFactors.
// Throws Error(kUnsupported) for a scaling that GGUF has no key for; `origin` names the model.
void AddGgufConfig(const ModelConfig& config, DType dtype, const std::string& origin,
                   GgufWriter& writer);

// Pieces of SentencePiece (`llama`), filled up to the rows of the embedding, since readers take the
// size of the vocabulary from the list.
void AddGgufVocabulary(const Vocabulary& vocabulary, const ModelConfig& config, GgufWriter& writer);

// Written without a vocabulary, too: where a text begins and ends.
void AddGgufTokenIds(const ModelConfig& config, GgufWriter& writer);

}  // namespace moescope::files
