// The tokenizer beside the weights of a folder.
#pragma once

#include "files/checkpoint_builder.h"
#include "files/folder.h"

namespace moescope::files {

// Sets the vocabulary, or a note that says why there is none. Throws Error as the parsers do, but
// for kUnsupported: a model can be looked at without its tokenizer.
void AddFolderVocabulary(const Folder& folder, CheckpointBuilder& builder);

}  // namespace moescope::files
