// A folder in Hugging Face's layout, config.json with safetensors, as a Checkpoint.
#pragma once

#include <string>

#include "files/checkpoint.h"
#include "files/folder.h"

namespace moescope::files {

// `name`: one safetensors file of the folder that holds all weights; empty: model.safetensors, the
// shards of model.safetensors.index.json, or no weights at all (the configuration alone).
// Throws Error as Checkpoint::Open.
Checkpoint OpenSafetensorsCheckpoint(const Folder& folder, const std::string& name);

}  // namespace moescope::files
