// A GGUF file, or a model split into several, as a Checkpoint.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "files/checkpoint.h"
#include "files/folder.h"

namespace moescope::files {

// "NAME-00001-of-00003.gguf"
struct SplitName {
  std::string stem;
  int number = 0, count = 0;  // from 1
  std::string Of(int other) const;
};
// Nullopt for a name that is not of this form.
std::optional<SplitName> ParseSplitName(std::string_view name);

// `name`: a file of the folder; of a split model any part. Throws Error as Checkpoint::Open.
Checkpoint OpenGgufCheckpoint(const Folder& folder, const std::string& name);

}  // namespace moescope::files
