// A folder with safetensors in Hugging Face's layout (config.json) or Mistral's own (params.json)
// as a Checkpoint.
#pragma once

#include <string>

#include "files/checkpoint.h"
#include "files/folder.h"

namespace moescope::files {

// `name`: one safetensors file of the folder that holds all weights, or a configuration alone;
// empty: model.safetensors, the shards of model.safetensors.index.json, or no weights at all; and
// the same under the names of Mistral's layout where Hugging Face's files are not there.
// Throws Error(kUnsupported) for a folder of pickles.
// Throws Error as Checkpoint::Open.
Checkpoint OpenSafetensorsCheckpoint(const Folder& folder, const std::string& name);

// Refuses a pickle, with what to do about it.
[[noreturn]] void ThrowPickle(const std::string& path);

}  // namespace moescope::files
