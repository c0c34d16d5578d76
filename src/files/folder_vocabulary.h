// The tokenizer beside the weights of a folder.
#pragma once

#include "files/checkpoint_builder.h"
#include "files/folder.h"

namespace moescope::files {

// tokenizer.model where it is there and is a SentencePiece model that is read, else tokenizer.json
// with the BOS and EOS of tokenizer_config.json or, where that says nothing, of config.json.
// Sets the vocabulary, or a note that says why there is none. Throws Error as the parsers do, but
// for kUnsupported: a model can be looked at, and run on token ids, without its tokenizer.
void AddFolderVocabulary(const Folder& folder, CheckpointBuilder& builder);

// tokenizer.json and the files beside it that say which tokens are BOS and EOS. `config_bos` and
// `config_eos` are those of the model's configuration, -1 for none.
// Throws Error(kCorrupt), Error(kUnsupported), Error(kNotFound).
Vocabulary ReadFolderTokenizerJson(const Folder& folder, int config_bos, int config_eos);

}  // namespace moescope::files
