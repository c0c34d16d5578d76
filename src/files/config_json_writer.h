// ModelConfig as the config.json of its family: the way back from ParseConfigJson.
#pragma once

#include <string>

#include "base/tensor/dtype.h"
#include "files/model_config.h"

namespace moescope::files {

// Members in the old style (`rope_theta` and `rope_scaling` beside the rest, `torch_dtype`), which
// every release of transformers reads. `dtype`: of most weights.
// Throws Error(kUnsupported) where the family's config.json cannot say what the configuration
// does, such as biases that the family does not have; so what is written reads back the same.
// `origin` names the model in the message.
std::string WriteConfigJson(const ModelConfig& config, DType dtype, const std::string& origin);

}  // namespace moescope::files
