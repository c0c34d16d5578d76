// A GGUF file of a Mixtral (architecture `llama` with experts) as a Checkpoint.
#pragma once

#include <memory>

#include "base/platform/file.h"
#include "files/checkpoint.h"

namespace moescope::files {

// Throws Error as Checkpoint::Open.
Checkpoint OpenGgufCheckpoint(std::shared_ptr<const RandomAccessFile> file);

}  // namespace moescope::files
