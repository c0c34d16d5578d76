// A GGUF file's metadata to ModelConfig.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "files/gguf_keys.h"
#include "files/model_config.h"

namespace moescope::files {

// `tensors`: names of the tensors of all parts: they tell of biases, a tied head, rotary factors.
// `vocab_rows`: rows of the token embedding, for files without a key for it; 0: unknown.
// Throws Error(kUnsupported) for an architecture we do not run, naming it and the known ones, or a
// setting that we do not follow; kBadInput for refused values.
ModelConfig ReadGgufConfig(const GgufKeys& keys, const std::string& path,
                           const std::set<std::string_view>& tensors, int64_t vocab_rows);

}  // namespace moescope::files
