// The tokenizer's files of a converted folder.
#pragma once

#include <string>
#include <vector>

#include "files/checkpoint.h"

namespace moescope::lab {

struct FolderFile {
  std::string name;
  std::string content;
};

struct FolderTokenizer {
  std::vector<FolderFile> files;
  std::string note;  // why there is none; empty where there is
};

// Of a checkpoint in a folder: what lies beside its weights (tokenizer, chat template, generation
// settings), as it is. Of a GGUF file: its vocabulary as tokenizer.model.
// Throws Error(kBadInput) for a file that is too large to be one, kIo.
FolderTokenizer TokenizerOf(const files::Checkpoint& checkpoint);

}  // namespace moescope::lab
